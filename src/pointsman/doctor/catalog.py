"""The catalog of models and prices is recent."""

from datetime import UTC, datetime

from pointsman.config.catalog import read_catalog
from pointsman.doctor.api import Finding, Subject, days, error, ok, warning

OLD_S = 45 * 86_400.0


async def check(subject: Subject) -> list[Finding]:
    settings = subject.settings
    if settings is None:
        return []
    in_use = read_catalog(settings.data_dir)
    if in_use.problem is not None:
        return [error(in_use.problem, "install a good one with `pointsman catalog`, or revert to the one before")]
    age_s = subject.now - datetime.fromisoformat(in_use.catalog.date).replace(tzinfo=UTC).timestamp()
    text = f"the catalog is of {in_use.catalog.date}"
    if age_s > OLD_S:
        advice = "install a newer release or catalog, so that new models have prices and retired ones are known"
        return [warning(f"{text}, {days(age_s)} old", advice)]
    return [ok(text)]
