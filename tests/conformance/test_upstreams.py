"""Rules for every dialect that only providers speak, with clients of every other.

No client speaks such a dialect, so its requests cannot be read back in general. Each has a reader in the fakes instead.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import bedrock, cohere, gemini
from fakes.dialects import features_of, halves, origin_of, plain_call, sent
from fakes.requested import drawn, lost_texts
from pointsman.domain.calls import Call
from pointsman.domain.conversations import Conversation, ToolCall, ToolResult
from pointsman.domain.pieces import Done
from pointsman.providers import PROVIDERS, codec_of, dialects_of
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS, DIALECTS
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.translation import DROPPABLE, translate
from pointsman.wire.upstreams import ONLY_UPSTREAM, SPOKEN

READERS: dict[str, Callable[[Any], Conversation]] = {
    "bedrock": bedrock.conversation_of,
    "cohere": cohere.conversation_of,
}
STREAMS: dict[str, bytes] = {
    "cohere": cohere.stream_of(
        cohere.begin(),
        *cohere.block(0, "thinking", "Two"),
        cohere.event("tool-plan-delta", tool_plan="I look up \u00fc."),
        *cohere.called(0, "c1", "f", '{"city":', '"Oslo"}'),
        *cohere.called(1, "c2", "f"),
        cohere.end("TOOL_CALL"),
    ),
    "bedrock": bedrock.stream_of(
        bedrock.thought("Two", "c2ln"),
        bedrock.text("I look up \u00fc."),
        bedrock.call("f", "t1", city="Oslo"),
        bedrock.call("f", "t2"),
        stop="tool_use",
    ),
    "gemini": gemini.stream_of(
        gemini.answer(gemini.thought("Two"), usageMetadata={"promptTokenCount": 20}),
        gemini.answer(gemini.text("I look up \u00fc.")),
        gemini.answer(gemini.call("f", "c2ln", args={"city": "Oslo"}), gemini.call("f", args={})),
        gemini.answer(gemini.text(""), finish="STOP", usageMetadata=gemini.USAGE),
    ),
}
# The usage in each stream: tokens of the prompt, of the answer, and of its reasoning.
SPENT = {"bedrock": (20, 30, 0), "cohere": (20, 30, 0), "gemini": (20, 30, 12)}
PER_PAIR = [200, pytest.param(2_000, marks=pytest.mark.slow)]
each_client = pytest.mark.parametrize("client", CONVERSATIONS, ids=lambda one: one.name)
each_upstream = pytest.mark.parametrize("upstream", ONLY_UPSTREAM)
each_stream = pytest.mark.parametrize("upstream", STREAMS)


def links(conversation: Conversation) -> list[tuple[bool, int]]:
    """Return the calls and results in their order, with the number of the call of each. An API may take other ids."""
    parts = [part for turn in conversation.turns for part in turn.parts if isinstance(part, ToolCall | ToolResult)]
    numbers: dict[str, int] = {}
    named = [(isinstance(part, ToolCall), part.id if isinstance(part, ToolCall) else part.call_id) for part in parts]
    return [(is_call, numbers.setdefault(name, len(numbers))) for is_call, name in named]


def test_names_are_unique_and_each_has_a_provider() -> None:
    assert not set(ONLY_UPSTREAM) & set(DIALECTS)
    assert set(SPOKEN) == {one.name for one in CONVERSATIONS} | set(ONLY_UPSTREAM)
    spoken = {name for provider in PROVIDERS.values() for name in dialects_of(provider)}
    assert set(ONLY_UPSTREAM) <= spoken
    assert set(READERS) == set(ONLY_UPSTREAM)
    assert set(ONLY_UPSTREAM) <= set(STREAMS) == set(SPENT)


@each_client
@each_upstream
@pytest.mark.parametrize("count", PER_PAIR)
def test_request_loses_no_text_call_or_result(client: Dialect, upstream: str, count: int) -> None:
    @settings(max_examples=count)
    @given(drawn(origin_of(client), features_of(client)))
    def check(given: tuple[Conversation, frozenset[str]]) -> None:
        call = sent(client, given[0])
        if call is None:
            return
        read = halves(client).read_request(call)
        written = translate(halves(client), SPOKEN[upstream].halves, call, reasons=True)
        assert set(written.dropped) <= DROPPABLE
        assert all(reason == reason.strip() != "" for reason in written.cannot)
        if written.cannot:
            return  # nothing is sent, and the client learns why
        again = READERS[upstream](gemini.body_of(written.fields))
        assert not lost_texts(read, again)
        assert links(again) == links(read)

    check()


def finish_of(stream: bytes) -> int:
    """Return a place in a stream at which its answer is not yet whole."""
    found = stream.rfind(b"data:")
    return found if found >= 0 else stream.find(b"stopReason")


def decoded(call: Call, upstream: str, pieces: list[bytes]) -> tuple[Any, bytes]:
    """Decode a stream for a client. Return the decoder and the client's bytes."""
    name = next(name for name, one in PROVIDERS.items() if upstream in dialects_of(one))
    decoder = codec_of(name, call.operation, call.head.dialect).decoder(call, 1 << 20, 1e9)
    out = b""
    for piece in pieces:
        out += decoder.feed(piece)
        if decoder.is_done or decoder.failure is not None:
            return decoder, out
    return decoder, out + decoder.close()


@each_client
@each_stream
def test_stream_cut_anywhere_fails_and_joined_anywhere_is_the_same(client: Dialect, upstream: str) -> None:
    call, stream = plain_call(client, streamed=True), STREAMS[upstream]
    decoder, expected = decoded(call, upstream, [stream])
    assert decoder.is_done
    assert decoder.has_content
    assert not decoder.is_usage_partial
    spent = decoder.usage
    assert (spent.tokens_in, spent.tokens_out, spent.tokens_reasoning) == SPENT[upstream]
    last = finish_of(stream)
    for at in range(1, len(stream)):
        joined, out = decoded(call, upstream, [stream[:at], stream[at:]])
        assert (joined.is_done, joined.failure, out) == (True, None, expected)
        cut, _ = decoded(call, upstream, [stream[:at]])
        if at <= last:
            assert not cut.is_done
            assert cut.failure is not None


@each_client
@each_stream
def test_damaged_stream_ends_with_a_failure_or_an_answer(client: Dialect, upstream: str) -> None:
    call, stream = plain_call(client, streamed=True), STREAMS[upstream]

    @settings(max_examples=200)
    @given(st.integers(0, len(stream)), st.integers(0, 40), st.binary(max_size=40))
    def check(at: int, removed: int, inserted: bytes) -> None:
        decoder, _ = decoded(call, upstream, [stream[:at] + inserted + stream[at + removed :]])
        assert decoder.is_done is (decoder.failure is None)

    check()


@each_stream
def test_any_answer_is_read_or_unreadable(upstream: str) -> None:
    found = SPOKEN[upstream].halves

    @settings(max_examples=300)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["candidates", "content", "parts", "text", "functionCall", "args", "name", "error"])
                    | st.sampled_from(["finishReason", "usageMetadata", "promptFeedback", "blockReason", "index"])
                    | st.sampled_from(["output", "message", "toolUse", "input", "reasoningContent", "stopReason"])
                    | st.sampled_from(["message", "tool_plan", "tool_calls", "function", "arguments", "citations"])
                    | st.sampled_from(["finish_reason", "usage", "billed_units", "logprobs", "sources", "document"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def check(value: object) -> None:
        try:
            pieces = found.read_answer(json.dumps(value).encode())
        except UNREADABLE:
            return
        assert isinstance(pieces[-1], Done)

    check()


@each_client
@each_upstream
def test_client_of_any_dialect_is_translated(client: Dialect, upstream: str) -> None:
    name = next(name for name, one in PROVIDERS.items() if upstream in dialects_of(one))
    assert codec_of(name, client.operation, client.name).is_translating
