"""The tables of resources that were made by API, and of the versions of the configuration that their changes made."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.config.resource import Resource, Spec
from pointsman.control.store.tables import CONFIG_VERSIONS, RESOURCES, Row


class ResourceChange(Struct, frozen=True, kw_only=True):
    """The change of one resource: its content before, unless it is new, and after, unless it was deleted."""

    kind: str
    name: str
    before: Spec = None
    after: Spec = None


class ConfigVersion(Struct, frozen=True, kw_only=True):
    """A version of the configuration that API calls made. Versions are numbered from 1. `digest` is that of the whole
    configuration, and `at` is Unix seconds."""

    number: int
    at: float
    author: str
    note: str
    digest: str
    changes: list[ResourceChange] = []


async def read_resources(connection: AsyncConnection) -> tuple[int, list[Resource]]:
    """Return the number of the newest version, and all resources."""
    number = (await connection.execute(select(func.max(CONFIG_VERSIONS.c.number)))).scalar() or 0
    rows = (await connection.execute(select(RESOURCES))).mappings()
    return int(number), [Resource(**{**row, "spec": json.loads(row["spec"])}) for row in rows]


async def write_version(connection: AsyncConnection, version: ConfigVersion, made: Iterable[Resource]) -> None:
    """Write a version with its changes. `made` are the changed resources as they are now."""
    await connection.execute(insert(CONFIG_VERSIONS).values(**_row_of(version)))
    gone = [and_(RESOURCES.c.kind == one.kind, RESOURCES.c.name == one.name) for one in version.changes]
    for condition in gone:
        await connection.execute(delete(RESOURCES).where(condition))
    rows = [resource_row(one) for one in made]
    if rows:
        await connection.execute(insert(RESOURCES), rows)


async def rewrite_specs(
    connection: AsyncConnection, resources: Iterable[Resource], versions: Iterable[ConfigVersion]
) -> None:
    """Write the contents of resources and versions anew, which have been sealed with another key."""
    for one in resources:
        where = and_(RESOURCES.c.kind == one.kind, RESOURCES.c.name == one.name)
        await connection.execute(update(RESOURCES).where(where).values(spec=json.dumps(one.spec)))
    for version in versions:
        row = _row_of(version)
        query = update(CONFIG_VERSIONS).where(CONFIG_VERSIONS.c.number == version.number)
        await connection.execute(query.values(changes=row["changes"]))


def versions_query(limit: int, before: int | None = None, after: int | None = None) -> Any:
    """Select versions, the newest first."""
    query = select(CONFIG_VERSIONS).order_by(CONFIG_VERSIONS.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(CONFIG_VERSIONS.c.number < before)
    return query if after is None else query.where(CONFIG_VERSIONS.c.number > after)


def version_of(row: Row) -> ConfigVersion:
    """Return the version in a row."""
    changes: Sequence[Row] = json.loads(row["changes"])
    return ConfigVersion(**{**row, "changes": [ResourceChange(**one) for one in changes]})


def resource_row(one: Resource) -> Row:
    """Return the row of a resource."""
    return {
        "kind": one.kind,
        "name": one.name,
        "spec": json.dumps(one.spec),
        "version": one.version,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "author": one.author,
    }


def _row_of(version: ConfigVersion) -> Row:
    changes = [
        {"kind": one.kind, "name": one.name, "before": one.before, "after": one.after} for one in version.changes
    ]
    return {
        "number": version.number,
        "at": version.at,
        "author": version.author,
        "note": version.note,
        "digest": version.digest,
        "changes": json.dumps(changes),
    }
