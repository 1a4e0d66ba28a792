"""Calls of the admin API that may be repeated: the header `Idempotency-Key`."""

import json
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request

from pointsman.admin.callers import CallerOf
from pointsman.admin.problems import ApiError
from pointsman.control.store.replies import Repeat

IdempotencyKey = Annotated[
    str | None, Header(max_length=200, description="Makes the call repeatable for a day: the same reply comes again.")
]


async def _repeat(request: Request, by: CallerOf, idempotency_key: IdempotencyKey = None) -> Repeat | None:
    if not idempotency_key:
        return None
    body = await request.body()
    content = json.loads(body) if body else None
    if isinstance(content, dict):
        content.pop("password", None)  # a fast hash of it must not be stored
    call = json.dumps([request.method, request.url.path, content], sort_keys=True)
    return Repeat(f"{by.name} {idempotency_key}", sha256(call.encode()).hexdigest())


RepeatOf = Annotated[Repeat | None, Depends(_repeat)]


def already_made(what: str, remedy: str) -> ApiError:
    """Return the error of a repeated call whose first reply had a secret, which is kept nowhere."""
    message = f"an earlier call with this idempotency key made {what}; its secret was shown only then: {remedy}"
    return ApiError(409, "idempotency_replayed", message)
