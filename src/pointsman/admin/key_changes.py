"""Keys as the routes of the admin API change and show them."""

from time import time
from typing import Annotated, Any

import msgspec
from fastapi import Response
from msgspec import Struct
from pydantic import Field, StringConstraints

from pointsman.admin.problems import ApiError, FieldError
from pointsman.admin.repeats import already_made
from pointsman.admin.services import Services
from pointsman.control.inquiries.keys import KeyOutcome
from pointsman.control.store.database import StoreError
from pointsman.control.store.tables import Row

LONGEST_S = 100 * 366 * 86_400.0
CHANGE_S = 10.0

Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9a-f]{64}$")]
Lifetime = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Note = Annotated[str, Field(max_length=1000)]

_STATUS = {
    "invalid_request": 422,
    "exists": 409,
    "in_use": 409,
    "key_reused": 422,
    "managed_by_file": 409,
    "rate_limited": 409,
    "changed": 412,
    "not_found": 404,
    "forbidden": 403,
}


async def change_key(services: Services, order: Struct) -> KeyOutcome:
    """Make a change. Raises `ApiError` if it is rejected."""
    await services.state()  # fails at once if control is away
    (outcome,) = await services.control.ask(order, KeyOutcome, CHANGE_S)
    if outcome.code == "store_unavailable":
        raise StoreError(outcome.message)
    if outcome.code:
        errors = [FieldError(one.field, one.message) for one in outcome.faults]
        raise ApiError(_STATUS.get(outcome.code, 503), outcome.code, outcome.message, errors=errors)
    return outcome


def with_value(outcome: KeyOutcome, digest: str | None) -> KeyOutcome:
    """Return the outcome, unless it should have a value that only an earlier call has shown."""
    if outcome.is_replayed and digest is None:
        name = msgspec.json.decode(outcome.row)["name"]
        raise already_made(f"the value of the key {name!r}", "rotate the key to get another one")
    return outcome


def key_answer(outcome: KeyOutcome, status: int) -> Response:
    """Return the answer to a change."""
    row = msgspec.json.decode(outcome.row)
    found = key_row(row) | ({"key": outcome.value} if outcome.value is not None else {})
    if outcome.waiting:
        found["waiting_workers"] = outcome.waiting
    return as_answer(found, 202 if outcome.waiting else status, etag=row["changed"])


def key_row(row: Row) -> dict[str, Any]:
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


def as_answer(value: object, status: int = 200, *, etag: int | None = None) -> Response:
    """Return an answer about a key. `etag` is its version."""
    headers = {"etag": f'"{etag}"'} if etag is not None else {}
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")


def hexadecimal(digest: str | None) -> str | None:
    """Return a digest as the store has it."""
    return digest.removeprefix("sha256:") if digest is not None else None
