"""Errors in Google's format. https://ai.google.dev/gemini-api/docs/troubleshooting"""

from typing import Any

import msgspec

from pointsman.simulate.answers import Answer, Event, Rejected, sse
from pointsman.simulate.faults import Faults

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_MESSAGES = {
    401: "Request had invalid authentication credentials.",
    403: "The caller does not have permission",
    404: "Requested entity was not found.",
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    503: "The model is overloaded. Please try again later.",
    529: "The model is overloaded. Please try again later.",
}
_TYPES = "type.googleapis.com/google.rpc."
_BLOCKED = "The prompt contains sensitive words that violate Google's Responsible AI practices."


def google_error(status: int, message: str | None = None, details: list[dict[str, Any]] | None = None) -> Answer:
    """Build an error. Its name follows from the status, as does its message if none is given."""
    return Answer(status=status, body=msgspec.json.encode(_body(status, message, details)), dialect="gemini")


def _body(status: int, message: str | None, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    if message is None:
        message = _MESSAGES.get(status, f"The request failed with status {status}.")
    name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": message, "status": name, **({"details": details} if details else {})}}


def invalid(message: str) -> Rejected:
    """Build the exception for an invalid request."""
    return Rejected(google_error(400, message))


def error_event(status: int) -> Event:
    """Build the event that ends a stream with an error."""
    return sse(_body(status, None))


def wrong_key() -> Answer:
    """Build the answer to an unknown key."""
    reason = {"@type": f"{_TYPES}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    return google_error(400, "API key not valid. Please pass a valid API key.", [reason])


def rate_limited(wait_s: float, message: str | None = None) -> Answer:
    """Build the answer to a request over a limit. Only the details have the time to wait."""
    return google_error(429, message, [{"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{wait_s:g}s"}])


def named(answer: Answer) -> Answer:
    """Return an error in Google's format."""
    if answer.dialect == "gemini":
        return answer
    return google_error(answer.status, str(msgspec.json.decode(answer.body)["error"]["message"]))


_FIXED_ERRORS = {
    "insufficient_quota": google_error(429, "Your prepayment credits are depleted."),
    "context_length": google_error(
        400, "The input token count (200001) exceeds the maximum number of tokens allowed (131072)."
    ),
    "content_filter": google_error(400, _BLOCKED),
    "usage_guidelines": google_error(400, _BLOCKED),
    "forbidden": google_error(403),
    "wrong_key": wrong_key(),
    "no_balance": google_error(429, "Your project has exceeded its monthly spending cap."),
    "model_denied": google_error(403, "You do not have permission to access the model."),
    "too_large": google_error(400, "Request payload size exceeds the limit: 20971520 bytes."),
    "overloaded": google_error(503),
    "no_endpoint": google_error(404),
}


def google_replacement(faults: Faults) -> Answer | None:
    """Return the error that replaces the answer, if a fault requests one."""
    for name in ("rate_limit", "key_limit"):
        if name in faults:
            return rate_limited(faults[name])
    for name, answer in _FIXED_ERRORS.items():
        if name in faults:
            return answer
    return google_error(faults.count("status")) if "status" in faults else None
