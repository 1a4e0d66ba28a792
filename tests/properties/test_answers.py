"""Every answer of a provider, even a hostile one, becomes an answer or a failure. Its cost is a number that a database
accepts."""

import json
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.corpora import shared
from fakes.engine import FakeCarrier
from fakes.exchange import claim_of, exchange_of
from fakes.money import PLAIN, charge_of
from fakes.wire import CHAT, SECRET, parse
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import Secret
from pointsman.domain.redaction import redact
from pointsman.domain.snapshots import Routing
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.tasks import Bell
from pointsman.money.charges import Answers, Bound
from pointsman.providers import PROVIDERS
from pointsman.transport.errors import TransportFailure
from pointsman.transport.leg import Leg
from pointsman.wire.errors import error_body, error_event, error_headers, status_of

BIGGEST = 2**63 - 1
KEPT = 4096  # bytes of the buffer that holds back answers
CALLS = [
    parse(CHAT),
    parse({**CHAT, "stream": True}),
    parse({**CHAT, "stream": True, "n": 2, "stream_options": {"include_usage": True}}),
    parse({"model": "m", "prompt": "once", "stream": True}, "/completions"),
    parse({"model": "m", "input": "x"}, "/embeddings"),
    parse({"model": "m", "input": "x"}, "/responses"),
    parse({"model": "m", "input": "x", "stream": True}, "/responses"),
]
ENDS = [None, failures.CONNECTION_LOST, failures.COMMIT_TIMEOUT, failures.CLIENT_GONE]


def check(call: Call, status: int, content_type: bytes, pieces: list[bytes], end: failures.Kind | None) -> None:
    """Receive an answer as from the transport, and charge it."""
    exchange, _ = exchange_of()
    codec = PROVIDERS["openai"].codecs[call.operation]
    reception = AnswerReceiver(call, codec, claim_of(exchange), Bell(), Routing(commit_buffer=KEPT))
    leg = reception.leg = Leg(UpstreamRequest(b"POST", b"/", b"", b""), reception, monotonic() + 600)
    leg.carrier, leg.was_sent = FakeCarrier(), True
    reception.on_head(status, {b"content-type": content_type})
    for piece in filter(None, pieces):
        if leg.handler is not None:
            reception.on_data(piece)
    if leg.handler is not None:
        if end is None:
            reception.on_end()
        else:
            reception.on_failure(TransportFailure(end, "", was_sent=True))
    assert reception.is_over, "the attempt has not ended"
    failure = reception.failure
    if failure is not None:
        failure = redact(failure, Secret(SECRET))
        assert len(failure.message) < 1000
        json.loads(error_event(failure, "id").removeprefix(b"data: "))
        assert error_body(failure, "id")
        assert error_headers(failure)
        assert 400 <= status_of(failure) < 600
    for unfinished in (None, "full", "prompt", "none"):
        for price in (PLAIN, None):
            charge = charge_of(call, price, Bound(5000, 900), unfinished, reception, failure, Answers())
            usage = charge.usage
            counts = [value for value in msgspec.structs.astuple(usage) if isinstance(value, int)]
            for amount in (charge.nano, charge.tokens, *counts):
                assert 0 <= amount <= BIGGEST // 1000, "the sum of many such amounts would overflow"
            assert msgspec.msgpack.encode(charge)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


_NUMBERS = st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400]) | st.integers()
_ODD = st.sampled_from(["\0", "\ud800", "[DONE]", 'a"b', "\n\n", "\r\n", "data: x", "\ufeff", "é" * 300, SECRET])
_LEAVES = st.none() | st.booleans() | _NUMBERS | st.floats() | _ODD
_NAMES = st.sampled_from(
    [
        "usage",
        "error",
        "choices",
        "message",
        "delta",
        "content",
        "tool_calls",
        "finish_reason",
        "index",
        "text",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_tokens",
        "output_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "reasoning_tokens",
        "service_tier",
        "code",
        "type",
        "param",
        "detail",
        "id",
        "object",
        "model",
        "role",
    ]
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5), max_leaves=15
)
_TOKENS = st.dictionaries(_NAMES, _NUMBERS | _VALUES, max_size=4)
_CHOICES = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=4) | _VALUES, max_size=3) | _VALUES
_BODIES = _VALUES | st.fixed_dictionaries(
    {}, optional={"usage": _TOKENS, "choices": _CHOICES, "error": _VALUES, "service_tier": _VALUES, "model": _ODD}
)


@st.composite
def _written(draw: st.DrawFn) -> bytes:
    """Write one JSON text, sometimes an invalid one."""
    text = json.dumps(draw(_BODIES), ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.booleans()) and text.startswith(b'{"'):  # a key twice
        text = b'{"usage":{"prompt_tokens":-5},' + text[1:]
    return draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\xff", b"\0"])) + text


@st.composite
def _answers(draw: st.DrawFn) -> bytes:
    texts = draw(st.lists(_written(), max_size=4))
    if draw(st.booleans()):
        return b"".join(texts)
    return b"".join(b"data: " + text + draw(st.sampled_from([b"\n\n", b"\r\n\r\n", b"\n"])) for text in texts)


@given(
    st.sampled_from(CALLS),
    st.sampled_from([200, 200, 200, 204, 400, 429, 500]),
    st.sampled_from([b"application/json", b"text/event-stream", b"text/html", b""]),
    _answers(),
    st.lists(st.integers(0, 10**6), max_size=4),
    st.sampled_from(ENDS),
)
@example(CALLS[0], 200, b"application/json", b'{"service_tier":"\xff","usage":{}}', [], None)
@example(CALLS[0], 200, b"application/json", b'{"error":{"message":"\xff"}}', [], None)
@example(CALLS[1], 200, b"text/event-stream", b'data: {"service_tier":"\xff"}\n\n', [], None)
@example(CALLS[0], 500, b"application/json", b'{"error":{"message":"\xff"}}', [], None)
@example(CALLS[5], 200, b"application/json", b'{"usage":{"x":' + b"[" * 3000 + b"}}", [], None)
@example(CALLS[0], 200, b"application/json", b'{"usage":{"prompt_tokens":%d}}' % 10**30, [], None)
@example(CALLS[0], 200, b"application/json", b'{"usage":{"prompt_tokens":%d}}' % 2**62, [], None)
def test_any_answer_is_received_and_charged(
    call: Call, status: int, content_type: bytes, answer: bytes, places: list[int], end: failures.Kind | None
) -> None:
    check(call, status, content_type, cut(answer, places), end)


@pytest.mark.parametrize("kind", ["y", "n", "i"])
def test_any_text_of_the_corpus_is_received_and_charged(kind: str) -> None:
    """The text is used as a body, as an event, and as the value of each field that is read."""
    files: list[Path] = sorted(shared("corpora", "json", "test_parsing").glob(f"{kind}_*.json"))
    assert files
    for file in files:
        text = file.read_bytes()
        for call in CALLS:
            for content_type, answer in (
                (b"application/json", text),
                (b"application/json", b'{"choices":[{"message":%b,"text":%b}],"usage":{}}' % (text, text)),
                (b"application/json", b'{"choices":[],"usage":%b,"service_tier":%b}' % (text, text)),
                (b"application/json", b'{"choices":[],"usage":{"prompt_tokens":%b}}' % text),
                (b"application/json", b'{"error":%b}' % text),
                (b"application/json", b'{"error":{"message":%b,"code":%b,"param":%b}}' % (text, text, text)),
                (b"text/event-stream", b"data: %b\n\n" % text),
                (b"text/event-stream", b'data: {"choices":[{"delta":{"content":%b}}],"usage":%b}\n\n' % (text, text)),
                (b"text/event-stream", b'data: {"error":%b}\n\n' % text),
            ):
                check(call, 200, content_type, [answer], None)
                check(call, 400, content_type, [answer], None)
