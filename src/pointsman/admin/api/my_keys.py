"""/api/v1/me/keys: the keys that a caller makes for itself, from the access templates of its teams."""

import re
from secrets import token_hex
from time import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from pointsman.admin.callers import Caller, CallerOf
from pointsman.admin.key_changes import (
    Digest,
    Lifetime,
    Note,
    change_key,
    hexadecimal,
    key_answer,
    key_row,
    with_value,
)
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError, FieldError
from pointsman.admin.repeats import RepeatOf
from pointsman.admin.services import Has, Services, StrictModel, as_json, usd
from pointsman.control.inquiries.keys import DeleteKey, MakeMemberKey, RotateKey, TemplateInquiry
from pointsman.control.inquiries.limits import BudgetInquiry, LimitState
from pointsman.control.members import holder_of
from pointsman.control.store.api_keys import KeyQuery
from pointsman.control.store.reports import Rows
from pointsman.control.store.series import USAGE_SERIES
from pointsman.domain.identity import AccessTemplate
from pointsman.domain.rights import AccessScope
from pointsman.domain.users import user_holder

MOST = 1000
SPENT_DAYS = 30
_UNUSUAL = re.compile(r"[^A-Za-z0-9_-]+")

router = APIRouter(prefix="/api/v1/me/keys", tags=["access"])

Own = Annotated[AccessScope, Depends(Within(Permission.KEYS_OWN))]
KeyName = Annotated[str, Path(max_length=64, description="The name of the key.")]


class NewOwnKey(StrictModel):
    """A key to make. `template` may be absent if there is only one for the caller. Without a `name`, it begins with the
    caller's. `for_s` is the lifetime in seconds. `sha256` is the digest of your own value."""

    template: Annotated[str | None, Field(max_length=64)] = None
    name: Annotated[str | None, Field(max_length=64)] = None
    note: Note = ""
    for_s: Lifetime | None = None
    sha256: Digest | None = None


class OwnRotation(StrictModel):
    """The old value stays valid for `grace_s` seconds."""

    grace_s: Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)] = 0.0
    sha256: Digest | None = None


@router.get("")
async def own_keys(services: Has, scope: Own, caller: CallerOf) -> Response:
    """Return the caller's own keys with their limits and their spending of the last 30 days, and the templates that the
    caller may make keys from. `limits` has those of the key and of its team."""
    rows = await services.store.rows(KeyQuery(limit=MOST, author=_author(caller)).statement(time()))
    spent = await _spent(services, [row["name"] for row in rows])
    limits: dict[str, list[LimitState]] = {}
    keys: list[dict[str, Any]] = []
    for row in rows:
        owners = [f"{level}:{row[column]}" for level, column in _OWNERS.items() if row[column]]
        for owner in owners:
            if owner not in limits:
                limits[owner] = await services.control.ask(BudgetInquiry(owner, False, MOST), LimitState)
        used = [one for owner in owners for one in limits[owner]]
        keys.append({**key_row(row), "spent_usd": usd(spent.get(row["name"], 0)), "limits": used})
    templates = await services.control.ask(TemplateInquiry(scope.by_level()), AccessTemplate)
    return as_json({"keys": keys, "spent_days": SPENT_DAYS, "templates": templates})


@router.post("", status_code=201)
async def make(services: Has, scope: Own, caller: CallerOf, repeat: RepeatOf, body: NewOwnKey) -> Response:
    """Make a key for the caller. The answer has its value, `key`, which nobody can see again. The template sets its
    team, rights and limits. A repeated call answers like that of `POST /api/v1/keys`."""
    order = MakeMemberKey(
        name=body.name if body.name is not None else _name_for(caller),
        template=body.template if body.template is not None else await _only_template(services, scope),
        holder=_author(caller),
        scope=scope.by_level(),
        digest=hexadecimal(body.sha256),
        expires_at=time() + body.for_s if body.for_s is not None else None,
        note=body.note,
        repeat=repeat,
    )
    return key_answer(with_value(await change_key(services, order), body.sha256), 201)


@router.post("/{name}/rotate")
async def rotate(
    services: Has, scope: Own, caller: CallerOf, repeat: RepeatOf, name: KeyName, body: OwnRotation
) -> Response:
    """Give a key of the caller a new value, which the answer has as `key`."""
    order = RotateKey(
        name=name,
        author=caller.name,
        grace_s=body.grace_s,
        digest=hexadecimal(body.sha256),
        scope=scope.by_level(),
        holder=_author(caller),
        repeat=repeat,
    )
    return key_answer(with_value(await change_key(services, order), body.sha256), 200)


@router.delete("/{name}")
async def revoke(services: Has, _: Own, caller: CallerOf, name: KeyName) -> Response:
    """Revoke a key of the caller, and its children."""
    return key_answer(await change_key(services, DeleteKey(name=name, author=caller.name, holder=_author(caller))), 200)


_OWNERS = {"virtual_key": "name", "team": "team"}


def _author(caller: Caller) -> str:
    """Return the author of the caller's own keys. Raises 409 for the admin token, which is nobody's."""
    if caller.user is not None:
        return holder_of(user_holder(caller.user.id))
    if caller.until is None:
        raise ApiError(409, "conflict", "the admin token has no keys of its own; log in, or use a service token")
    return holder_of(caller.name)


def _name_for(caller: Caller) -> str:
    called = caller.user.name if caller.user is not None else caller.name.partition(":")[2]
    plain = _UNUSUAL.sub("-", called.partition("@")[0]).strip("-_")[:40]
    return f"{plain or 'key'}-{token_hex(4)}"


async def _only_template(services: Services, scope: AccessScope) -> str:
    found = await services.control.ask(TemplateInquiry(scope.by_level()), AccessTemplate)
    if len(found) == 1:
        return found[0].name
    names = ", ".join(one.name for one in found)
    message = f"choose one of {names}" if found else "there is no access template for you; ask an admin of your team"
    raise ApiError(422, "invalid_request", f"template: {message}", errors=[FieldError("template", message)])


async def _spent(services: Services, names: list[str]) -> dict[str, int]:
    """Return the spending of keys in nano-dollars."""
    if not names:
        return {}
    now, scope = time(), AccessScope(owners=frozenset(f"virtual_key:{name}" for name in names))
    rows = Rows(now - SPENT_DAYS * 86_400, now + 1, MOST)
    found = await services.store.sums(USAGE_SERIES, ["virtual_key"], {}, rows, scope=scope)
    return {row["virtual_key"]: row["nano"] for row in found if row["nano"] is not None}
