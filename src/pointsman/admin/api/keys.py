"""/api/v1/keys: virtual keys that are made by API. Those of the configuration file are shown, but not changed."""

from time import time
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import Field, StringConstraints

from pointsman.admin.callers import CallerOf
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError, FieldError
from pointsman.admin.repeats import RepeatOf, already_made
from pointsman.admin.services import Has, Moment, Services, StrictModel
from pointsman.config.sections import Name
from pointsman.control.inquiries.keys import (
    DeleteKey,
    FileKey,
    KeyOutcome,
    ListFileKeys,
    MakeKeyOrder,
    RotateKey,
    Scope,
    SetKey,
)
from pointsman.control.store.api_keys import KeyQuery
from pointsman.control.store.database import StoreError
from pointsman.control.store.tables import Row
from pointsman.domain.rights import LEVELS, AccessScope

LONGEST_S = 100 * 366 * 86_400.0
CHANGE_S = 10.0

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

Readable = Annotated[AccessScope, Depends(Within(Permission.KEYS_READ))]
Writable = Annotated[AccessScope, Depends(Within(Permission.KEYS_WRITE))]
KeyName = Annotated[str, Path(max_length=64, description="The name of a key.")]
IfMatch = Annotated[str | None, Header(description="The `ETag` of the state that the change is for.")]
Settings = Annotated[
    dict[str, Any],
    Field(description="The fields of an entry of `governance.virtual_keys`, such as `team` and `budgets`."),
]
Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9a-f]{64}$")]
Lifetime = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Note = Annotated[str, Field(max_length=1000)]

_STATUS = {
    "invalid_request": 422,
    "exists": 409,
    "key_reused": 422,
    "managed_by_file": 409,
    "rate_limited": 409,
    "changed": 412,
    "not_found": 404,
    "forbidden": 403,
}


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
        listing = ListFileKeys(page.limit + 1, page.after, page.q, page.team, _owners(scope))
        keys = [_file_row(one) for one in await services.control.ask(listing, FileKey)]
    else:
        keys = [_shown(row) for row in await services.store.rows(_query(page, scope).statement(time()))]
    found: dict[str, object] = {"keys": keys[: page.limit]}
    if len(keys) > page.limit:
        found["next"] = keys[page.limit - 1]["name"]
    return _json(found)


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
        digest=_hexadecimal(body.sha256),
        parent=body.parent,
        expires_at=time() + body.for_s if body.for_s is not None else body.expires_at,
        note=body.note,
        scope=_owners(scope),
        repeat=repeat,
    )
    return _answer(_with_value(await _change(services, order), body.sha256), 201)


@router.get("/{name}")
async def show(services: Has, scope: Readable, name: KeyName) -> Response:
    """Return a key, without its value."""
    found = await services.store.rows(KeyQuery(limit=1, name=name, owners=_owners(scope)).statement(time()))
    if found:
        return _json(_shown(found[0]), etag=found[0]["changed"])
    of_file = await services.control.ask(ListFileKeys(1, owners=_owners(scope), name=name), FileKey)
    if not of_file:
        raise ApiError(404, "not_found", f"there is no key {name!r}")
    return _json(_file_row(of_file[0]))


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
        scope=_owners(scope),
    )
    return _answer(await _change(services, order), 200)


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
        digest=_hexadecimal(body.sha256),
        version=_version(if_match),
        scope=_owners(scope),
        repeat=repeat,
    )
    return _answer(_with_value(await _change(services, order), body.sha256), 200)


@router.delete("/{name}")
async def revoke(services: Has, scope: Writable, caller: CallerOf, name: KeyName, if_match: IfMatch = None) -> Response:
    """Revoke a key and its children. No worker admits a request with it after this answers 200, also after a crash; 202
    names workers that may still do."""
    order = DeleteKey(name=name, author=caller.name, version=_version(if_match), scope=_owners(scope))
    return _answer(await _change(services, order), 200)


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
        owners=_owners(scope),
    )


def _owners(scope: AccessScope) -> Scope | None:
    return None if scope.is_everything else {level: scope.names(level) for level in LEVELS}


async def _change(services: Services, order: MakeKeyOrder | SetKey | RotateKey | DeleteKey) -> KeyOutcome:
    """Make a change. Raises `ApiError` if it is rejected."""
    await services.state()  # fails at once if control is away
    (outcome,) = await services.control.ask(order, KeyOutcome, CHANGE_S)
    if outcome.code == "store_unavailable":
        raise StoreError(outcome.message)
    if outcome.code:
        errors = [FieldError(one.field, one.message) for one in outcome.faults]
        raise ApiError(_STATUS.get(outcome.code, 503), outcome.code, outcome.message, errors=errors)
    return outcome


def _with_value(outcome: KeyOutcome, digest: str | None) -> KeyOutcome:
    """Return the outcome, unless it should have a value that only an earlier call has shown."""
    if outcome.is_replayed and digest is None:
        name = msgspec.json.decode(outcome.row)["name"]
        raise already_made(f"the value of the key {name!r}", "rotate the key to get another one")
    return outcome


def _answer(outcome: KeyOutcome, status: int) -> Response:
    row = msgspec.json.decode(outcome.row)
    found = _shown(row) | ({"key": outcome.value} if outcome.value is not None else {})
    if outcome.waiting:
        found["waiting_workers"] = outcome.waiting
    return _json(found, 202 if outcome.waiting else status, etag=row["changed"])


def _shown(row: Row) -> dict[str, Any]:
    """Return a key as the API shows it."""
    now, ends = time(), row["expires_at"]
    state = "expired" if ends is not None and ends <= now else "active" if row["is_enabled"] else "disabled"
    names = ("team", "customer", "parent", "note", "created_at", "created_by", "changed_at", "expires_at")
    older = row["previous_until"]
    return {
        "name": row["name"],
        "managed_by": "api",
        "state": state,
        "hint": row["hint"],
        "sha256": row["digest"],
        **{name: row[name] or None for name in names},
        "previous_until": older if older is not None and older > now else None,
        "version": row["changed"],
        "settings": msgspec.json.decode(row["settings"]),
    }


def _file_row(key: FileKey) -> dict[str, Any]:
    return {"managed_by": "file", **msgspec.to_builtins(key)}


def _json(value: object, status: int = 200, *, etag: int | None = None) -> Response:
    headers = {"etag": f'"{etag}"'} if etag is not None else {}
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not text.isdecimal():
        raise _invalid("if-match", "must be the `ETag` of an earlier answer")
    return int(text)


def _hexadecimal(digest: str | None) -> str | None:
    return digest.removeprefix("sha256:") if digest is not None else None


def _invalid(field: str, message: str) -> ApiError:
    return ApiError(422, "invalid_request", f"{field}: {message}", errors=[FieldError(field, message)])
