"""The errors of the admin API, as problem details in JSON (RFC 9457): `type`, `title`, `status` and `detail`. `code` is
the last part of `type`. `errors` lists the fields at fault, each with its message."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec
from fastapi import Response
from msgspec import Struct

MEDIA_TYPE = "application/problem+json"


class FieldError(Struct, frozen=True):
    """A field at fault, as a path such as `budgets[0].limit_usd`, and the reason."""

    field: str
    message: str


class ApiError(Exception):
    """Ends a request with an error. `more` are further members of the body."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def respond(error: ApiError) -> Response:
    """Return the answer for an error."""
    body: dict[str, object] = {
        "type": f"urn:pointsman:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        **error.more,
    }
    if error.errors:
        body["errors"] = error.errors
    return Response(msgspec.json.encode(body), error.status, headers=error.headers, media_type=MEDIA_TYPE)
