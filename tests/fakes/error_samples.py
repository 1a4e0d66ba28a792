"""Errors of providers, each with its expected classification."""

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Kind, Scope

TOO_LONG = failures.CONTEXT_TOO_LONG
FILTERED = failures.CONTENT_FILTERED
MISSING = failures.UPSTREAM_MODEL_MISSING
DENIED = failures.UPSTREAM_MODEL_DENIED
REJECTED = failures.CREDENTIAL_REJECTED
EMPTY = failures.BALANCE_EMPTY
LIMITED = failures.UPSTREAM_RATE_LIMITED
TOO_LARGE = failures.UPSTREAM_TOO_LARGE
OVERLOADED = failures.UPSTREAM_OVERLOADED
BROKEN = failures.UPSTREAM_ERROR
LACKING = failures.UPSTREAM_UNSUPPORTED
FORBIDDEN = failures.UPSTREAM_FORBIDDEN
REJECTED_REQUEST = failures.UPSTREAM_REFUSED


class Sample(Struct, frozen=True):
    """An answer, and its expected classification."""

    status: int
    body: object
    kind: Kind
    scope: Scope | None = None


def openai_error(message: str, code: object = None, type_: str | None = None) -> dict[str, object]:
    """Build an error in OpenAI's format."""
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def anthropic_error(type_: str, message: str) -> dict[str, object]:
    """Build an error in Anthropic's format."""
    return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}
