"""Keys that members of teams make for themselves, from templates. They end with the membership."""

import json
import logging
from collections.abc import Sequence
from math import inf
from time import time
from typing import Any

from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.keys import KeyFault, KeyOutcome, MakeKeyOrder, MakeMemberKey, Scope, SetKey
from pointsman.control.keys import KeyBook, KeyRejectedError, is_in_scope
from pointsman.control.store.access_queries import AccessQueries
from pointsman.control.store.api_keys import MEMBER
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.domain.audit import Actor
from pointsman.domain.identity import AccessTemplate, KeysUnavailableError
from pointsman.domain.permissions import Permission
from pointsman.domain.rights import AccessScope, Rights
from pointsman.domain.users import token_holder, user_holder

LEEWAY_S = 60.0  # between the clocks of a caller and of control

_logger = logging.getLogger(__name__)


def holder_of(holder: str) -> str:
    """Return the author of the keys of a holder of grants, such as `user:u-1`."""
    return f"{MEMBER}{holder}"


def templates_in(scope: Scope | None, compiled: Compiled) -> list[AccessTemplate]:
    """Return the templates of teams in a scope."""
    return [one for one in compiled.templates if is_in_scope(scope, (None, one.team, one.customer))]


async def make_own_key(keys: KeyBook, compiled: Compiled, order: MakeMemberKey, actor: Actor) -> KeyOutcome:
    """Make a key of a member's own. Raises `KeyRejectedError` and `StoreError`."""
    template = next((one for one in templates_in(order.scope, compiled) if one.name == order.template), None)
    if template is None:
        message = f"there is no access template {order.template!r} for you"
        raise KeyRejectedError("not_found", message, [KeyFault("template", message)])
    longest_s = template.longest_s
    if longest_s is not None and (order.expires_at or inf) > time() + longest_s + LEEWAY_S:
        message = f"set at most {longest_s:g} seconds, the longest life of keys from this template"
        raise KeyRejectedError("invalid_request", f"for_s: {message}", [KeyFault("for_s", message)])

    async def check(store: Store) -> None:
        held = [one for one in await store.api_keys.made_by(order.holder) if _template_of(one) == template.name]
        if len(held) >= template.at_most:
            message = f"you have {len(held)} keys from this template, which is the limit; revoke one first"
            raise KeyRejectedError("exists", message)

    made = MakeKeyOrder(
        name=order.name,
        settings=json.dumps({"template": template.name}).encode(),
        author=order.holder,
        digest=order.digest,
        expires_at=order.expires_at,
        note=order.note,
        repeat=order.repeat,
    )
    return await keys.make(made, actor, check)


async def end_lost_keys(store: Store | None, keys: KeyBook) -> None:
    """Disable the keys of members who have left their team, or are disabled or deleted. A failure is logged; the next
    call tries again."""
    try:
        if store is None or not (rows := await store.api_keys.of_members()):
            return
        lost = await _lost(store, rows)
        for name in lost:
            await keys.set(SetKey(name=name, author="membership", is_enabled=False))
        if lost:
            _logger.info("disabled the keys of members who lost the right to them: %s", ", ".join(lost))
    except (StoreError, KeyRejectedError, KeysUnavailableError) as error:
        _logger.warning("cannot disable the keys of members who lost the right to them: %s", error)


async def _lost(store: Store, rows: Sequence[Row]) -> list[str]:
    """Return the names of keys whose member has no right to them."""
    async with store.transaction() as connection:

        async def found(query: Any) -> list[Row]:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

        queries, scopes = AccessQueries(found), dict[str, AccessScope]()
        for author in {row["created_by"] for row in rows}:
            rights = await _rights(queries, author.removeprefix(MEMBER))
            scopes[author] = rights.scope(Permission.KEYS_OWN)
    return [
        row["name"]
        for row in rows
        if not is_in_scope(scopes[row["created_by"]].by_level(), (None, row["team"], row["customer"]))
    ]


async def _rights(queries: AccessQueries, holder: str) -> Rights:
    if holder.startswith(user_holder("")):
        user = await queries.user(holder.removeprefix(user_holder("")))
        return await queries.rights(user.grants) if user is not None and not user.is_disabled else Rights()
    token = await queries.token(holder.removeprefix(token_holder("")))
    return await queries.rights(token.grants) if token is not None and token.expires_at > time() else Rights()


def _template_of(row: Row) -> object:
    return json.loads(row["settings"]).get("template")
