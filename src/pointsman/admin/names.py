"""Whether a name that somebody asks for exists, or ever did: in the configuration, the catalog, or what was used."""

from collections.abc import Mapping

from fastapi import HTTPException

from pointsman.admin.services import Services
from pointsman.config.snapshot_file import Compiled
from pointsman.domain.identity import KeyTable
from pointsman.domain.limits import Level

_WORDS = {"virtual_key": "virtual key"}


async def check_names(services: Services, names: Mapping[str, str]) -> None:
    """Raises 404 for a name that never existed. `names` are by what they name, as columns of the store are called; for
    `asked`, a model as clients call it."""
    compiled = services.configuration.current
    for kind, name in names.items():
        if not _is_configured(compiled, kind, name) and not await _was_used(services, kind, name):
            what = "model" if kind == "asked" else _WORDS.get(kind, kind)
            message = f"there is no {what} {name!r}: the configuration does not name it, and nothing was used under it"
            raise HTTPException(404, {"code": "not_found", "message": message})


async def check_owner(services: Services, owner: str) -> None:
    """Raises 404 for an owner of limits that never existed, and 422 for what is written like none."""
    level, colon, name = owner.partition(":")
    if not colon or level not in {one.value for one in Level}:
        message = "owner: write it as team:NAME, customer:NAME, virtual_key:NAME, provider:NAME or entry:KEY/PROVIDER"
        raise HTTPException(422, {"code": "invalid_request", "message": message})
    if level == Level.ENTRY.value:
        key, _, provider = name.partition("/")
        await check_names(services, {"virtual_key": key, "provider": provider})
    else:
        await check_names(services, {level: name})


async def _was_used(services: Services, kind: str, name: str) -> bool:
    store = services.store
    if kind == "asked":
        return await store.was_asked_for("model", name)
    return await store.is_known(kind, name)


def _is_configured(compiled: Compiled, kind: str, name: str) -> bool:
    snapshot = compiled.snapshot
    if kind == "virtual_key":
        keys = snapshot.virtual_keys
        if isinstance(keys, KeyTable):
            return keys.named(name) is not None
        return any(key.name == name for key in keys.values())
    if kind in ("team", "customer"):
        return f"{kind}:{name}" in compiled.owners
    if kind == "provider":
        return name in snapshot.endpoints
    candidates = [one for model in snapshot.models.values() for one in (*model.targets, *model.fallbacks)]
    if kind == "variant":
        return any(one.variant == name for one in candidates)
    catalog = snapshot.pricing.catalog
    if kind == "model":
        served = any(catalog.find(endpoint.catalog, name) is not None for endpoint in snapshot.endpoints.values())
        return served or any(one.model == name for one in candidates)
    if kind == "asked":
        provider, _, model = name.partition("/")
        is_pinned = provider in snapshot.endpoints and _is_configured(compiled, "model", model)
        return name in snapshot.models or is_pinned or catalog.name_of(name) is not None
    return False
