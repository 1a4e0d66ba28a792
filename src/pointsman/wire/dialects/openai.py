"""OpenAI's dialect: chat and text completions, responses, and the rest of its API.

https://platform.openai.com/docs/api-reference
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.operations import GENERATING, STATEFUL
from pointsman.wire import openai_embeddings
from pointsman.wire.dialect import Dialect
from pointsman.wire.errors import error_body, error_headers
from pointsman.wire.json_object import read_or
from pointsman.wire.openai_chat import HALVES
from pointsman.wire.tokens import about_tokens
from pointsman.wire.unbounded import unbounded_in

UNLIMITED = -1  # some servers take it for as many tokens as the model can answer; others have no value for that

_EMPTY = (b"null", b"[]", b"{}", b'"none"', b"false")
_BY_FIELD = (
    ("tools", "tools"),
    ("functions", "tools"),
    ("reasoning_effort", "reasoning"),
    ("audio", "audio_out"),
)
_FORMATS = ("response_format", "text")  # of chat completions and of responses
_FEATURE_FIELDS = frozenset((*(name for name, _ in _BY_FIELD), *_FORMATS, "reasoning"))
_BY_PART = (
    (b'"image_url"', "vision"),
    (b'"input_image"', "vision"),
    (b'"input_audio"', "audio_in"),
)
_READ_METHODS = frozenset({"GET", "HEAD", "DELETE"})
_STORED = STATEFUL | {"responses"}
_TRUE = Raw(b"true")


class _Reasoning(Struct, gc=False):
    effort: str | None = None


_REASONING = msgspec.json.Decoder(_Reasoning)


def needs(call: Call, capabilities: Iterable[str]) -> set[str]:
    """Return the capabilities in `capabilities` that the call needs."""
    fields = call.fields
    if not fields or call.operation not in GENERATING:
        return set()
    found: set[str] = set()
    if not _FEATURE_FIELDS.isdisjoint(fields):
        found = {need for name, need in _BY_FIELD if name in fields and bytes(fields[name]) not in _EMPTY}
        if any(b'"json_schema"' in bytes(fields[name]) for name in _FORMATS if name in fields):
            found.add("json_schema")
        if "reasoning" in fields and _has_effort(fields["reasoning"]):
            found.add("reasoning")
    prompt = fields.get("messages") or fields.get("input")
    if call.media.count and prompt is not None:
        text = bytes(prompt)
        found |= {need for mark, need in _BY_PART if mark in text}
    return found.intersection(capabilities) if found else found


def _has_effort(reasoning: Raw) -> bool:
    """Return whether the `reasoning` of a response asks for some. A summary alone does not."""
    return read_or(_REASONING, reasoning, _Reasoning()).effort not in (None, "none")


def service_tier(call: Call) -> str | None:
    """Return the service tier that a request names."""
    raw = call.fields.get("service_tier")
    named = bytes(raw) if raw is not None else b""
    return named[1:-1].decode("utf-8", "replace") if named[:1] == b'"' else None


def is_response_creation(method: str, path: str) -> bool:
    """Return whether a call on `/responses` creates a response; other calls read, cancel or count."""
    return method == "POST" and path.partition("?")[0] == "/responses"


def takes_bound(call: Call) -> bool:
    """Return whether the request has a field for the most tokens its answer may have."""
    if call.operation == "responses":
        return bool(call.fields) and is_response_creation(call.head.method, call.head.path)
    return call.operation in GENERATING


def is_free(call: Call) -> bool:
    """Return whether no provider charges for the call: reads of stored objects, cancellations, and uploads."""
    if call.head.method in _READ_METHODS or call.operation == "file":
        return True
    return call.operation in _STORED and _is_free_action(call.head.path.partition("?")[0])


def _is_free_action(path: str) -> bool:
    return path.endswith(("/cancel", "/responses/input_tokens")) or path.startswith("/conversations")


def continues_unread(call: Call) -> bool:
    """Return whether a response is completed and stored even if nobody reads its stream."""
    return call.operation == "responses" and call.fields.get("background") == _TRUE


DIALECT = Dialect(
    name="openai",
    error_body=error_body,
    error_headers=error_headers,
    needs=needs,
    prompt_tokens=about_tokens,
    unbounded=unbounded_in,
    service_tier=service_tier,
    takes_bound=takes_bound,
    is_free=is_free,
    continues_unread=continues_unread,
    halves=HALVES,
    path="/chat/completions",
    embeddings=openai_embeddings.HALVES,
)
