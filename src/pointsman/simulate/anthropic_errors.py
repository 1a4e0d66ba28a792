"""Errors in Anthropic's format. https://platform.claude.com/docs/en/api/errors"""

import msgspec
from msgspec.structs import replace

from pointsman.simulate.answers import Answer, Event, Rejected, sse
from pointsman.simulate.faults import Faults

INVALID = "invalid_request_error"
_TYPES = {
    400: INVALID,
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    401: "invalid x-api-key",
    403: "Request not allowed",
    404: "Not found",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit of 50 requests per minute.",
    500: "Internal server error",
    529: "Overloaded",
}
_NO_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase"
    " credits."
)
_BLOCKED = "Output blocked by content filtering policy"


def anthropic_error(status: int, message: str | None = None) -> Answer:
    """Build an error. Its type follows from the status, as does its message if none is given."""
    if message is None:
        message = _MESSAGES.get(status, f"The request failed with status {status}.")
    body = {"type": "error", "error": {"type": type_of(status), "message": message}}
    return Answer(status=status, body=msgspec.json.encode(body), dialect="anthropic")


def type_of(status: int) -> str:
    """Return the type of the errors with this status."""
    return _TYPES.get(status, "api_error" if status >= 500 else INVALID)


def invalid(message: str) -> Rejected:
    """Build the exception for an invalid request."""
    return Rejected(anthropic_error(400, message))


def error_event(status: int) -> Event:
    """Build the event that ends a stream with an error. The status is that of the same error before a stream."""
    error = {"type": type_of(status), "message": _MESSAGES[status]}
    return sse({"type": "error", "error": error}, "error")


def named(answer: Answer, request_id: str) -> Answer:
    """Return an error with the id of its request. An error in OpenAI's format is translated."""
    found = msgspec.json.decode(answer.body)
    if answer.dialect != "anthropic":
        translated = anthropic_error(answer.status, found["error"]["message"])
        return named(replace(translated, headers=answer.headers), request_id)
    return replace(answer, body=msgspec.json.encode({**found, "request_id": request_id}))


_FIXED_ERRORS = {
    "insufficient_quota": anthropic_error(400, _NO_CREDIT),
    "context_length": anthropic_error(400, "prompt is too long: 200001 tokens > 200000 maximum"),
    "content_filter": anthropic_error(400, _BLOCKED),
    "usage_guidelines": anthropic_error(400, _BLOCKED),
    "forbidden": anthropic_error(403),
    "wrong_key": anthropic_error(401),
    "no_balance": anthropic_error(402, _NO_CREDIT),
    "model_denied": anthropic_error(403, "Your API key does not have permission to use the specified resource."),
    "too_large": anthropic_error(413),
    "overloaded": anthropic_error(529),
    "no_endpoint": anthropic_error(404),
}


def anthropic_replacement(faults: Faults) -> Answer | None:
    """Return the error that replaces the answer, if a fault requests one."""
    for name in ("rate_limit", "key_limit"):
        if name in faults:
            return _rate_limited(faults[name])
    for name, answer in _FIXED_ERRORS.items():
        if name in faults:
            return answer
    return anthropic_error(faults.count("status")) if "status" in faults else None


def _rate_limited(wait_s: float) -> Answer:
    """Build the answer to a request over a limit. https://platform.claude.com/docs/en/api/rate-limits"""
    headers = [
        ("retry-after", str(-int(-wait_s // 1))),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
    ]
    return replace(anthropic_error(429), headers=headers)
