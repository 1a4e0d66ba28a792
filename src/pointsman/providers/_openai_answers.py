"""Judge whole answers in OpenAI's dialect by the rules of their streams, since a status of 200 proves little.

https://platform.openai.com/docs/api-reference/chat/object, …/completions/object, …/embeddings/object,
…/responses/object, …/images/object, …/moderations/object

An answer with all required fields is read in one step. Any other is examined more closely, since it may still be valid.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.operations import Operation
from pointsman.providers._broken import dense, incomplete, malformed
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers._openai_stream import ended_in_error, has_content
from pointsman.providers._refusals import in_choice, in_response
from pointsman.providers._usage_scan import usage_in
from pointsman.providers.api import WholeAnswer
from pointsman.wire.dialects.openai import is_response_creation
from pointsman.wire.json_object import UNREADABLE, is_empty, read_leniently
from pointsman.wire.sse import BYTE_ORDER_MARK
from pointsman.wire.usage import OpenAIUsage, read_usage

_NO_VALUE = Raw(b"")
_ERROR = Raw(b'"error"')
_FINISHES = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class _Plain(Struct, gc=False, kw_only=True):
    usage: OpenAIUsage
    error: None = None
    service_tier: str | None = None


class _AnswerMessage(Struct, gc=False):
    refusal: str | None = None


class _PlainChatChoice(Struct, gc=False):
    finish_reason: _FINISHES
    message: _AnswerMessage


class _PlainChat(_Plain, gc=False, kw_only=True):
    choices: Annotated[list[_PlainChatChoice], Meta(min_length=1)]


class _PlainTextChoice(Struct, gc=False):
    finish_reason: _FINISHES
    text: Raw


class _PlainText(_Plain, gc=False, kw_only=True):
    choices: Annotated[list[_PlainTextChoice], Meta(min_length=1)]


_PLAIN: dict[Operation, "msgspec.json.Decoder[_PlainChat] | msgspec.json.Decoder[_PlainText]"] = {
    "chat": msgspec.json.Decoder(_PlainChat),
    "completion": msgspec.json.Decoder(_PlainText),
}


class _AnswerChoice(Struct, gc=False):
    message: dict[str, Raw] | None = None
    text: Raw = _NO_VALUE
    finish_reason: Raw = _NO_VALUE


class _Generated(Struct, gc=False):
    choices: list[_AnswerChoice] | None = None
    usage: Raw = _NO_VALUE
    error: Raw = _NO_VALUE
    service_tier: Raw = _NO_VALUE


class _Vector(Struct, gc=False):
    embedding: Raw = _NO_VALUE


class _Embedded(Struct, gc=False):
    data: list[_Vector] | None = None
    usage: Raw = _NO_VALUE
    error: Raw = _NO_VALUE


class _Passed(Struct, kw_only=True, gc=False):
    id: Raw = _NO_VALUE
    object: Raw = _NO_VALUE
    error: Raw = _NO_VALUE
    status: Raw = _NO_VALUE
    output: Raw = _NO_VALUE
    incomplete_details: Raw = _NO_VALUE
    data: Raw = _NO_VALUE
    results: Raw = _NO_VALUE


_GENERATED = msgspec.json.Decoder(_Generated)
_EMBEDDED = msgspec.json.Decoder(_Embedded)
_PASSED = msgspec.json.Decoder(_Passed)
_ANY = msgspec.json.Decoder(Raw)
_TIER = msgspec.json.Decoder(str | None)
_FAILED = b'"failed"'
_SHORT = 64  # bytes
SCANNED_BYTES = 64 * 1024
MAX_PARTS = 50_000  # objects of an answer: valid answers have far fewer, and reading more takes long
_LATER = frozenset({b'"queued"', b'"in_progress"'})


def judge(call: Call, body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a chat, a text completion or embeddings. `errors` are the provider's own rules."""
    decoder = _PLAIN.get(call.operation)
    if len(body) > SCANNED_BYTES and body.count(b"{") > MAX_PARTS:
        return dense()
    try:
        if decoder is None:
            return _judge_vectors(body.removeprefix(BYTE_ORDER_MARK), errors)
        plain = decoder.decode(body)
    except UNREADABLE:
        return _judge_unusual(call, body.removeprefix(BYTE_ORDER_MARK), errors)
    refused: Kind | None = None
    for choice in plain.choices:
        refused = failures.FILTERED if choice.finish_reason == "content_filter" else None
        if type(choice) is _PlainChatChoice and choice.message.refusal:
            refused = failures.REFUSED
        if refused is None:
            break
    return WholeAnswer(body, plain.usage.normalised(plain.service_tier), refused)


def _judge_unusual(call: Call, body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge an answer that differs from the documentation. It has an error inside, a missing or odd usage, an unknown
    end, a byte order mark in front, or no readable content."""
    try:
        found = read_leniently(_GENERATED, body)
    except UNREADABLE as error:
        return malformed(error)
    if not is_empty(found.error):
        return classify_inside(body, errors)
    if not found.choices:
        return incomplete("choices")
    kinds = [in_choice(choice.message, choice.finish_reason) for choice in found.choices]
    for choice in found.choices:
        if choice.finish_reason == _ERROR:
            return ended_in_error()
        if call.operation == "chat":
            if choice.message is None:
                return incomplete("message")
        elif is_empty(choice.text) and bytes(choice.text) != b'""':
            return incomplete("text")
        if is_empty(choice.finish_reason) and is_empty(choice.text) and not has_content(choice.message):
            return Failure(failures.TRUNCATED, "the provider's answer has neither content nor a finish reason")
    refused = kinds[0] if all(kind is not None for kind in kinds) else None
    return WholeAnswer(body, read_usage(found.usage, _tier(found.service_tier)), refused)


def _judge_vectors(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    try:
        found = _EMBEDDED.decode(body)
    except UNREADABLE as error:
        return malformed(error)
    if not is_empty(found.error):
        return classify_inside(body, errors)
    if not found.data or any(is_empty(vector.embedding) for vector in found.data):
        return incomplete("data")
    return WholeAnswer(body, read_usage(found.usage))


def judge_passed(call: Call, body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge an answer of a path that is passed through. It must be complete JSON with content and without an error."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    beginning = body[:_SHORT].lstrip()
    if not beginning and call.head.method in ("DELETE", "HEAD"):
        return WholeAnswer(body)
    try:
        if not beginning.startswith(b"{"):
            return incomplete("JSON object") if is_empty(_ANY.decode(body)) else WholeAnswer(body)
        found = read_leniently(_PASSED, body)
    except UNREADABLE as error:
        return malformed(error)
    if not is_empty(found.error) and _is_failed(call, found):
        return classify_inside(body, errors)
    missing = _missing(call, found) if call.head.method == "POST" else None
    if missing is not None:
        return classify_inside(body, errors) if bytes(found.status) == _FAILED else incomplete(missing)
    if len(body) < _SHORT and b"".join(body.split()) == b"{}":
        return incomplete("fields")
    is_response = call.operation == "responses" and is_response_creation(call.head.method, call.head.path)
    refused = in_response(body, found.output, found.incomplete_details) if is_response else None
    usage = usage_in(body) if len(body) <= SCANNED_BYTES else None  # else it is scanned on arrival
    return WholeAnswer(body, usage, refused)


def _is_failed(call: Call, found: _Passed) -> bool:
    """Return whether an answer with an error in it is a failure. The description of a stored object may report its
    error."""
    is_object = not (is_empty(found.id) or is_empty(found.object))
    return not is_object or (call.operation == "responses" and is_response_creation(call.head.method, call.head.path))


def _missing(call: Call, found: _Passed) -> str | None:
    """Return the part that is missing from the answer to a POST request."""
    operation = call.operation
    if operation == "responses" and is_response_creation(call.head.method, call.head.path):
        status = bytes(found.status)
        if status == _FAILED or (bytes(found.output)[:1] != b"[" and status not in _LATER):
            return "output"
    elif operation == "image" and is_empty(found.data):
        return "data"
    elif operation in ("moderation", "rerank") and is_empty(found.results):
        is_other_list = operation == "rerank" and not is_empty(found.data)  # of scores, or of a few rankings
        return None if is_other_list else "results"
    return None


def _tier(raw: Raw) -> str | None:
    try:
        return _TIER.decode(raw) if not is_empty(raw) else None
    except UNREADABLE:
        return None
