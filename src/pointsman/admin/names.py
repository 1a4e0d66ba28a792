"""Checks whether a requested name exists, or ever did: in the configuration, the catalog, or recorded usage."""

from collections.abc import Mapping

from pointsman.admin.problems import ApiError
from pointsman.admin.services import Services
from pointsman.control.inquiries.names import NameInquiry
from pointsman.domain.limits import LEVELS
from pointsman.domain.rights import ALL, AccessScope

_WORDS = {"virtual_key": "virtual key", "asked": "model"}


async def check_names(services: Services, names: Mapping[str, str], scope: AccessScope = ALL) -> None:
    """Raise 404 for a name that never existed. `names` are by kind, which is a column of the store, or `asked`: a model
    as clients request it. Callers with a limited permission get no error, since it would show the names of others."""
    if not scope.is_everything:
        return
    for kind in await services.control.ask(NameInquiry(dict(names)), str):
        name = names[kind]
        store = services.store
        was_used = store.was_asked_for("model", name) if kind == "asked" else store.is_known(kind, name)
        if not await was_used:
            thing = _WORDS.get(kind, kind)
            message = f"there is no {thing} {name!r}, neither in the configuration nor in recorded usage"
            raise ApiError(404, "not_found", message)


async def check_owner(services: Services, owner: str) -> None:
    """Raise 404 for an owner of limits that never existed, and 422 for a malformed one."""
    level, colon, name = owner.partition(":")
    if not colon or level not in LEVELS:
        message = (
            "owner: write it as team:NAME, customer:NAME, virtual_key:NAME, provider:NAME, mirror:NAME, "
            "entry:KEY/PROVIDER or end_user:SELECTOR/NAME"
        )
        raise ApiError(422, "invalid_request", message)
    if level == "end_user":
        message = f"the end user {name!r} has used no limit in its present window"
        raise ApiError(404, "not_found", message)
    if level == "entry":
        key, _, provider = name.partition("/")
        await check_names(services, {"virtual_key": key, "provider": provider})
    else:
        await check_names(services, {"asked" if level == "mirror" else level: name})
