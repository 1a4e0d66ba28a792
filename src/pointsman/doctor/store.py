"""The store answers, and this version can read it."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL

from pointsman.control.store.database import MIGRATIONS, STORE_FAILURES, StoreError, connect, describe, store_url
from pointsman.doctor.api import Finding, Subject, error, ok, warning


async def check(subject: Subject) -> list[Finding]:
    settings = subject.settings
    if settings is None:
        return []
    given = settings.store_url.reveal() if settings.store_url is not None else None
    try:
        url = store_url(given, settings.data_dir)
    except StoreError as problem:
        return [error(str(problem), "correct store.url")]
    if url.get_backend_name() == "sqlite" and not _exists(url):
        return [ok(f"{url.database} does not exist yet; the first start creates it")]
    name = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    engine = connect(url, is_reader=True)
    try:
        async with engine.connect() as connection:
            schema = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except STORE_FAILURES as problem:
        advice = "start the database, and check its address, user and rights; requests beyond the leases are rejected"
        return [error(f"the store {name} cannot be read: {describe(problem)}", advice)]
    finally:
        await engine.dispose()
    return [_schema(str(name), str(schema))]


def _exists(url: URL) -> bool:
    return Path(url.database or "").exists()


def _schema(name: str, schema: str) -> Finding:
    known = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    if schema not in known:
        text_ = f"a newer version of the gateway made the store {name} (schema {schema})"
        return error(text_, "start that version, or restore a backup")
    if schema != known[-1]:
        text_ = f"the store {name} has the schema {schema}; this version migrates it to {known[-1]} at its start"
        return warning(text_, "make a backup before the start, because older versions cannot read it afterwards")
    return ok(f"the store {name} answers, with the schema {schema}")
