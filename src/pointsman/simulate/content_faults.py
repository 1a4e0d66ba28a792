"""Faults in the content of answers: errors that replace an answer, and answers that are cut or malformed.

Module `script` applies the faults of transmission.
"""

from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.simulate import gemini_errors
from pointsman.simulate.answers import DONE, Answer, Dialect, Event, error, sse
from pointsman.simulate.anthropic_errors import anthropic_error, anthropic_replacement, error_event
from pointsman.simulate.faults import Faults
from pointsman.simulate.gemini_errors import google_error, google_replacement

_SERVER_MESSAGE = "The server had an error while processing your request. Sorry about that!"
_OVERLOADED_MESSAGE = "The server is currently overloaded with other requests. Sorry about that!"
_FAILURES = {"error_mid_stream": (500, _SERVER_MESSAGE), "overloaded_mid_stream": (529, _OVERLOADED_MESSAGE)}


class Ending(Enum):
    """The state of the connection after the last byte."""

    KEEP = "keep"  # wait for the next request
    CLOSE_ON_NEXT = "close_on_next"  # close as soon as the next request arrives
    CLOSE = "close"  # FIN
    RESET = "reset"  # RST
    SILENCE = "silence"  # stay silent until the peer closes


_CUTS = {"role_only_then_die": Ending.CLOSE, "die_mid_stream": Ending.CLOSE, "hang_mid_stream": Ending.SILENCE}


class Delivery(Struct):
    """An answer with its faults applied. Without `is_whole`, the end is missing on the wire: a stream lacks its last
    chunk, and a body lacks its second half, although the head announced both. `is_good` is true if the provider
    considers the answer complete and charges for it."""

    answer: Answer
    ending: Ending = Ending.KEEP
    is_whole: bool = True
    is_good: bool = True


def replacement_error(faults: Faults, dialect: Dialect = "openai") -> Answer | None:
    """Return the error that replaces the answer, if a fault requests one."""
    if dialect == "anthropic":
        return anthropic_replacement(faults)
    if dialect == "gemini":
        return google_replacement(faults)
    if "rate_limit" in faults:
        return _rate_limited(faults["rate_limit"])
    for name, answer in _FIXED_ERRORS.items():
        if name in faults:
            return answer
    if "key_limit" in faults:
        return _rate_limited(faults["key_limit"], "Rate limit reached for organization org-1 on tokens per day (TPD).")
    if "no_endpoint" in faults:
        return _unsupported_path(faults.count("no_endpoint"))
    if "status" in faults:
        return _status(faults.count("status"))
    return None


_PER_MINUTE = "Rate limit reached for requests on requests per min (RPM): Limit 3, Used 3, Requested 1."
_XAI_403 = "The caller does not have permission to execute the specified operation"


def _xai_error(status: int, fields: dict[str, str]) -> Answer:
    """Build an error in xAI's format."""
    return Answer(status=status, body=msgspec.json.encode(fields))


# https://docs.x.ai/docs/key-information/debugging and https://platform.openai.com/docs/guides/error-codes
_FIXED_ERRORS = {
    "insufficient_quota": error(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        code="insufficient_quota",
    ),
    "context_length": error(
        400,
        "This model's maximum context length is 128000 tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    ),
    "content_filter": error(400, "The response was filtered.", code="content_filter"),
    "usage_guidelines": _xai_error(
        403,
        {
            "code": _XAI_403,
            "error": "Content violates usage guidelines. Team: t, Model: m, Failed check: SAFETY_CHECK_TYPE_BIO",
        },
    ),
    "forbidden": error(403, "This cannot be done."),
    "wrong_key": _xai_error(
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Incorrect API key provided: sk***me. You can obtain an API key from https://console.x.ai.",
        },
    ),
    "no_balance": error(402, "Insufficient Balance", "unknown_error", code="invalid_request_error"),
    "overloaded": error(503, _OVERLOADED_MESSAGE, "server_error"),
    "model_denied": error(403, "Project `p` does not have access to model `m`", code="model_not_found"),
    "too_large": error(
        429,
        "Request too large for m in organization org-1 on tokens per min (TPM): Limit 30000, Requested 342389.",
        "tokens",
        code="rate_limit_exceeded",
    ),
}


def _unsupported_path(status: int) -> Answer:
    if status == 404:
        return Answer(status=404, content_type="text/plain", body=b"404 page not found")
    if status == 405:
        return Answer(status=405, body=b'{"detail":"Method Not Allowed"}')
    message = "This server does not support embeddings. Start it with `--embeddings`"
    return error(status, message, "not_supported_error")


def _rate_limited(wait_s: float, message: str = _PER_MINUTE) -> Answer:
    answer = error(
        429,
        f"{message} Please try again in {wait_s:g}s.",
        "requests",
        code="rate_limit_exceeded",
    )
    answer.headers = [
        ("retry-after", str(-int(-wait_s // 1))),
        ("retry-after-ms", f"{wait_s * 1000:.0f}"),
        ("x-ratelimit-limit-requests", "3"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", f"{wait_s:g}s"),
    ]
    return answer


def _status(status: int) -> Answer:
    if status == 401:
        return error(401, "Incorrect API key provided: sk-******.", code="invalid_api_key")
    if status == 403:
        message = "Country, region, or territory not supported"
        return error(403, message, "request_forbidden", code="unsupported_country_region_territory")
    if status == 429:
        return error(429, "Rate limit reached for requests.", "requests", code="rate_limit_exceeded")
    if status >= 500:
        return error(status, _SERVER_MESSAGE, "server_error")
    return error(status, f"The request failed with status {status}.")


def apply_content_faults(answer: Answer, faults: Faults) -> Delivery:
    """Apply faults to an answer, without changing the answer itself."""
    if answer.status >= 400:
        return Delivery(answer, is_good=False)
    if answer.events is None:
        return _alter_body(answer, faults)
    return _alter_events(answer, answer.events, faults)


def _alter_body(answer: Answer, faults: Faults) -> Delivery:
    for name, (status, message) in _FAILURES.items():
        if name in faults or (name == "error_mid_stream" and "error_in_200" in faults):
            body = _error_body(answer.dialect, status, message)
            return Delivery(replace(answer, body=body, tokens_out=0), is_good=False)
    for name, ending in _CUTS.items():
        if name in faults:
            return Delivery(answer, ending, is_whole=False, is_good=False)
    if faults.keys() & {"malformed_json", "malformed_sse", "end_at_event"}:
        return Delivery(replace(answer, body=answer.body[: len(answer.body) // 2]))
    return Delivery(answer)


def _alter_events(answer: Answer, events: list[Event], faults: Faults) -> Delivery:
    if "error_in_200" in faults:
        return Delivery(replace(answer, events=_only_error(answer.dialect)), is_good=False)
    for name, ending in _CUTS.items():
        if name in faults:
            cut = replace(answer, events=events[: _position_after(events, faults.count(name))])
            return Delivery(cut, ending, is_whole=False, is_good=False)
    for name, (status, message) in _FAILURES.items():
        if name in faults:
            kept = events[: _position_after(events, faults.count(name))]
            failure = _failure(answer.dialect, kept, status, message)
            return Delivery(replace(answer, events=[*kept, failure]), is_good=False)
    for name in ("malformed_sse", "malformed_json"):
        if name in faults:
            at = _position_after(events, faults.count(name))
            broken = Event(events[at].data[:60].rstrip() + b"\n\n")
            events = [*events[:at], broken, *events[at:]]
    if "end_at_event" in faults:
        kept = events[: faults.count("end_at_event")]
        return Delivery(replace(answer, events=kept), is_good=len(kept) == len(events))
    if "missing_done" in faults:
        events = [event for event in events if not event.is_end]
    return Delivery(replace(answer, events=events))


def _openai_error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


def _error_body(dialect: Dialect, status: int, message: str) -> bytes:
    if dialect == "anthropic":
        return anthropic_error(status).body
    if dialect == "gemini":
        return google_error(status).body
    return msgspec.json.encode(_openai_error(message))


def _only_error(dialect: Dialect) -> list[Event]:
    if dialect == "anthropic":
        return [error_event(500)]
    if dialect == "gemini":
        return [gemini_errors.error_event(500)]
    return [sse(_openai_error(_SERVER_MESSAGE)), DONE]


def _failure(dialect: Dialect, before: list[Event], status: int, message: str) -> Event:
    """Return the event that ends a stream with an error. That of a response repeats the response of its first event.
    https://platform.openai.com/docs/api-reference/responses-streaming/response/failed"""
    if dialect == "anthropic":
        return error_event(status)
    if dialect == "gemini":
        return gemini_errors.error_event(status)
    if dialect == "openai":
        return sse(_openai_error(message))
    begun = msgspec.json.decode(before[0].data.partition(b"\ndata: ")[2])["response"]
    failed = {**begun, "status": "failed", "error": {"code": "server_error", "message": message}}
    name = "response.failed"
    return sse({"type": name, "sequence_number": len(before), "response": failed}, name)


def _position_after(events: list[Event], count: int) -> int:
    """Return the position of the event after the first `count` content events, or of the first event after all content
    if there are no more than `count`."""
    content = [position for position, event in enumerate(events) if event.is_content]
    if count < len(content):
        return content[count]
    return content[-1] + 1 if content else 0
