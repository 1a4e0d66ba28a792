"""/api/v1/keys: virtual keys that are made by API. Those of the configuration file are shown, but not changed."""

from time import time
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import Field

from pointsman.admin.callers import CallerOf
from pointsman.admin.key_changes import (
    Digest,
    Lifetime,
    Note,
    as_answer,
    change_key,
    hexadecimal,
    key_answer,
    key_row,
    with_value,
)
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError, FieldError
from pointsman.admin.repeats import RepeatOf
from pointsman.admin.services import Has, Moment, StrictModel
from pointsman.config.sections import Name
from pointsman.control.inquiries.keys import (
    DeleteKey,
    FileKey,
    ListFileKeys,
    MakeKeyOrder,
    RotateKey,
    SetKey,
)
from pointsman.control.store.api_keys import KeyQuery
from pointsman.domain.rights import AccessScope

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

Readable = Annotated[AccessScope, Depends(Within(Permission.KEYS_READ))]
Writable = Annotated[AccessScope, Depends(Within(Permission.KEYS_WRITE))]
KeyName = Annotated[str, Path(max_length=64, description="The name of a key.")]
IfMatch = Annotated[str | None, Header(description="The `ETag` of the state that the change is for.")]
Settings = Annotated[
    dict[str, Any],
    Field(description="The fields of an entry of `governance.virtual_keys`, such as `team` and `budgets`."),
]


class KeyPage(StrictModel):
    """The filters. `after` is the `next` of the page before. `q` is a part of the name, and `hint` the beginning of the
    key's value or of its SHA-256, as the log has it."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[str, Field(max_length=64)] = ""
    q: Annotated[str, Field(max_length=64)] = ""
    hint: Annotated[str, Field(max_length=80)] = ""
    team: Annotated[str | None, Field(max_length=64)] = None
    customer: Annotated[str | None, Field(max_length=64)] = None
    parent: Annotated[str | None, Field(max_length=64)] = None
    state: Literal["active", "disabled", "expired"] | None = None
    managed_by: Literal["api", "file"] = "api"


class NewKey(StrictModel):
    """A key to make. `for_s` is its lifetime in seconds, and `expires_at` its end in Unix seconds; set at most one of
    them. `sha256` is the digest of your own value; without it the gateway makes a value. With a `parent`, the key is a
    child of that key."""

    name: Name
    settings: Settings = Field(default_factory=dict)
    note: Note = ""
    expires_at: Moment | None = None
    for_s: Lifetime | None = None
    sha256: Digest | None = None
    parent: Name | None = None


class KeyPatch(StrictModel):
    """Fields to change. Each field in `settings` replaces the earlier one, and `null` removes it. `expires_at` is in
    Unix seconds; 0 removes it."""

    settings: Settings = Field(default_factory=dict)
    note: Note | None = None
    expires_at: Moment | None = None
    is_enabled: bool | None = None


class Rotation(StrictModel):
    """The old value stays valid for `grace_s` seconds. `revoke_children` deletes the children of the key at once."""

    grace_s: Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)] = 0.0
    revoke_children: bool = False
    sha256: Digest | None = None


@router.get("")
async def list_keys(services: Has, scope: Readable, page: Annotated[KeyPage, Query()]) -> Response:
    """Return keys in the order of their names, without their values. `next` is absent on the last page. With
    `managed_by=file`, these are the keys of the configuration file and of its keys file."""
    if page.managed_by == "file":
        listing = ListFileKeys(page.limit + 1, page.after, page.q, page.team, scope.by_level())
        keys = [_file_row(one) for one in await services.control.ask(listing, FileKey)]
    else:
        keys = [key_row(row) for row in await services.store.rows(_query(page, scope).statement(time()))]
    found: dict[str, object] = {"keys": keys[: page.limit]}
    if len(keys) > page.limit:
        found["next"] = keys[page.limit - 1]["name"]
    return as_answer(found)


@router.post("", status_code=201)
async def make(services: Has, scope: Writable, caller: CallerOf, repeat: RepeatOf, body: NewKey) -> Response:
    """Make a key. The answer has its value, `key`, which nobody can see again. Every worker knows the key when this
    answers 201; 202 names workers that do not know it yet. A repeated call answers 409, `idempotency_replayed`, since
    the value is kept nowhere; with your own `sha256`, it answers like the first one."""
    if body.for_s is not None and body.expires_at is not None:
        raise _invalid("for_s", "set either for_s or expires_at")
    order = MakeKeyOrder(
        name=body.name,
        settings=msgspec.json.encode(body.settings),
        author=caller.name,
        digest=hexadecimal(body.sha256),
        parent=body.parent,
        expires_at=time() + body.for_s if body.for_s is not None else body.expires_at,
        note=body.note,
        scope=scope.by_level(),
        repeat=repeat,
    )
    return key_answer(with_value(await change_key(services, order), body.sha256), 201)


@router.get("/{name}")
async def show(services: Has, scope: Readable, name: KeyName) -> Response:
    """Return a key, without its value."""
    found = await services.store.rows(KeyQuery(limit=1, name=name, owners=scope.by_level()).statement(time()))
    if found:
        return as_answer(key_row(found[0]), etag=found[0]["changed"])
    of_file = await services.control.ask(ListFileKeys(1, owners=scope.by_level(), name=name), FileKey)
    if not of_file:
        raise ApiError(404, "not_found", f"there is no key {name!r}")
    return as_answer(_file_row(of_file[0]))


@router.patch("/{name}")
async def change(
    services: Has, scope: Writable, caller: CallerOf, name: KeyName, body: KeyPatch, if_match: IfMatch = None
) -> Response:
    """Change a key: limits, models, team, expiry, note, and whether it is enabled. No worker serves a request under the
    earlier state after this answers 200; 202 names workers that may still do."""
    order = SetKey(
        name=name,
        author=caller.name,
        settings=msgspec.json.encode(body.settings),
        expires_at=body.expires_at,
        note=body.note,
        is_enabled=body.is_enabled,
        version=_version(if_match),
        scope=scope.by_level(),
    )
    return key_answer(await change_key(services, order), 200)


@router.post("/{name}/rotate")
async def rotate(
    services: Has,
    scope: Writable,
    caller: CallerOf,
    repeat: RepeatOf,
    name: KeyName,
    body: Rotation,
    if_match: IfMatch = None,
) -> Response:
    """Give a key a new value, which the answer has as `key`. A repeated call answers as for a new key."""
    order = RotateKey(
        name=name,
        author=caller.name,
        grace_s=body.grace_s,
        revokes=body.revoke_children,
        digest=hexadecimal(body.sha256),
        version=_version(if_match),
        scope=scope.by_level(),
        repeat=repeat,
    )
    return key_answer(with_value(await change_key(services, order), body.sha256), 200)


@router.delete("/{name}")
async def revoke(services: Has, scope: Writable, caller: CallerOf, name: KeyName, if_match: IfMatch = None) -> Response:
    """Revoke a key and its children. No worker admits a request with it after this answers 200, also after a crash; 202
    names workers that may still do."""
    order = DeleteKey(name=name, author=caller.name, version=_version(if_match), scope=scope.by_level())
    return key_answer(await change_key(services, order), 200)


def _query(page: KeyPage, scope: AccessScope) -> KeyQuery:
    return KeyQuery(
        limit=page.limit + 1,
        after=page.after,
        text=page.q,
        hint=page.hint,
        team=page.team,
        customer=page.customer,
        parent=page.parent,
        state=page.state,
        owners=scope.by_level(),
    )


def _file_row(key: FileKey) -> dict[str, Any]:
    return {"managed_by": "file", **msgspec.to_builtins(key)}


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not text.isdecimal():
        raise _invalid("if-match", "must be the `ETag` of an earlier answer")
    return int(text)


def _invalid(field: str, message: str) -> ApiError:
    return ApiError(422, "invalid_request", f"{field}: {message}", errors=[FieldError(field, message)])
