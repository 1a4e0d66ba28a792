"""The response object around the items of an answer: it repeats the fields of the request, as OpenAI's does.

https://platform.openai.com/docs/api-reference/responses/object
"""

from hashlib import sha256

import msgspec
from msgspec import Raw

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Start
from pointsman.wire.dialects.openai_responses._shapes import FIELDS, NOTHING
from pointsman.wire.errors import error_fields
from pointsman.wire.json_object import is_empty, read_or

_PREFIX = "resp_"
_MAX_SUFFIX = 40  # characters: ids of items may have 64, and begin with a kind and end with a number

# Fields of a request that a response repeats, with the values that stand for their absence.
_ECHOED = {
    "instructions": Raw(b"null"),
    "max_output_tokens": Raw(b"null"),
    "max_tool_calls": Raw(b"null"),
    "metadata": Raw(b"{}"),
    "parallel_tool_calls": Raw(b"true"),
    "prompt_cache_key": Raw(b"null"),
    "safety_identifier": Raw(b"null"),
    "temperature": Raw(b"1.0"),
    "tool_choice": Raw(b'"auto"'),
    "tools": Raw(b"[]"),
    "top_logprobs": Raw(b"0"),
    "top_p": Raw(b"1.0"),
    "truncation": Raw(b'"disabled"'),
    "user": Raw(b"null"),
}
_OBJECTS = {
    "reasoning": {"effort": Raw(b"null"), "summary": Raw(b"null")},
    "text": {"format": Raw(b'{"type":"text"}'), "verbosity": Raw(b'"medium"')},
}
# The fields of a response that differ at its end.
_CHANGING = frozenset(
    {"status", "completed_at", "error", "incomplete_details", "output", "service_tier", "usage", "background"}
)
_NAME = msgspec.json.Decoder(str)
_TIERS = frozenset({"default", "flex", "scale", "priority", "fast", "ultrafast"})

# The codes of a failed response are a closed list; all others are the server's fault.
# https://platform.openai.com/docs/api-reference/responses/object (`error.code`)
_RATE = frozenset({failures.RATE_LIMITED, failures.UPSTREAM_RATE_LIMITED})
_TOO_LONG = "context_length_exceeded"  # OpenAI sends it outside the list; clients then shorten their conversation


class Envelope:
    """Makes the states of one response. `suffix` is the part of its id that the ids of its items share."""

    def __init__(self, call: Call, now: float, start: Start) -> None:
        fields = call.fields
        given = start.id.removeprefix(_PREFIX)
        if not given or len(given) > _MAX_SUFFIX or not given.replace("-", "").replace("_", "").isalnum():
            # A provider without ids gets one that repeats only for the same prompt at the same time.
            prompt = bytes(fields.get("input", NOTHING))
            given = sha256(f"{start.id} {now} {call.model}".encode() + prompt).hexdigest()[:_MAX_SUFFIX]
        self.suffix = given
        self._now = int(now)
        self._echoed: dict[str, object] = {
            name: _or(fields.get(name, NOTHING), absent) for name, absent in _ECHOED.items()
        }
        for name, absent in _OBJECTS.items():
            inner = read_or(FIELDS, fields.get(name, NOTHING), {})
            self._echoed[name] = absent | {key: raw for key, raw in inner.items() if bytes(raw) != b"null"}
        self._model = start.model or call.model
        self._begun: dict[str, Raw] = {}

    def resume(self, response: dict[str, Raw]) -> None:
        """Take the fields of a response that its provider has begun, with its id, its model and its time."""
        self._begun = {name: raw for name, raw in response.items() if name not in _CHANGING}
        self.suffix = read_or(_NAME, response.get("id", NOTHING), "").removeprefix(_PREFIX) or self.suffix

    def state(
        self,
        status: str,
        output: list[dict[str, object]],
        usage: Usage | None = None,
        *,
        reason: str | None = None,
        error: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Return the response in a status. `reason` is that of an incomplete one."""
        is_done = status == "completed"
        tier = usage.tier if usage is not None and usage.tier in _TIERS else "default"
        return {
            "id": f"{_PREFIX}{self.suffix}",
            "object": "response",
            "created_at": self._now,
            "status": status,
            "background": False,
            "completed_at": self._now if is_done else None,
            "error": error,
            "incomplete_details": {"reason": reason} if reason is not None else None,
            "model": self._model,
            "output": output,
            "previous_response_id": None,
            "service_tier": tier,
            "store": False,
            "usage": _usage(usage) if usage is not None else None,
            **self._echoed,
            **self._begun,
        }


def failed_error(failure: Failure, request_id: str) -> dict[str, object]:
    """Return the error of a failed response."""
    code = "server_error"
    if failure.kind in _RATE:
        code = "rate_limit_exceeded"
    elif failure.kind is failures.CONTEXT_TOO_LONG:
        code = _TOO_LONG
    elif failure.kind.fault is failures.Fault.REQUEST:
        code = "invalid_prompt"
    return {"code": code, "message": error_fields(failure, request_id).message}


def _or(raw: Raw, absent: Raw) -> Raw:
    return absent if is_empty(raw) else raw


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.tokens_in,
        "input_tokens_details": {
            "cached_tokens": usage.tokens_cached,
            "cache_write_tokens": usage.tokens_cache_write + usage.tokens_cache_write_1h,
        },
        "output_tokens": usage.tokens_out,
        "output_tokens_details": {"reasoning_tokens": usage.tokens_reasoning},
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }
