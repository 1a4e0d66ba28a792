"""The protocol of decoders suits dialects that end, count and stream differently from OpenAI's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.corpora import Recorded, recorded
from fakes.wire import drain
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.outcomes import Usage
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._openai_errors import classify
from pointsman.providers._openai_stream import OpenAIStream
from pointsman.providers._usage_scan import JsonScan
from pointsman.providers.api import AnswerScan, Codec, Form, StreamDecoder, WholeAnswer
from unit.providers.seam_anthropic import FINISH, AnthropicStream, ChatWriter
from unit.providers.seam_gemini import GeminiStream


class AnthropicCodec:
    """The shape of a codec for Anthropic's dialect."""

    dialect = "anthropic"

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        headers = f"x-api-key: {key.credential.reveal()}\r\nanthropic-version: 2023-06-01\r\n".encode()
        return UpstreamRequest(b"POST", f"{candidate.endpoint.base_path}/messages".encode(), headers, b"{}")

    def decode(self, call: Call, body: bytes, *, as_stream: bool = False) -> WholeAnswer | Failure:
        found = json.loads(body)
        return WholeAnswer(body, Usage(found["usage"]["input_tokens"], found["usage"]["output_tokens"]))

    def form(self, call: Call, status: int, content_type: bytes) -> Form:
        return "events" if call.stream else "whole"

    def is_answer(self, status: int) -> bool:
        return status == 200

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        return call.stream

    def scan(self) -> AnswerScan:
        return JsonScan()

    def usage_in(self, body: bytes) -> Usage | None:
        return None

    def decoder(self, call: Call, max_event_bytes: int) -> StreamDecoder:
        return AnthropicStream(ChatWriter(wants_usage=call.wants_usage))

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return classify(status, headers, body, now_unix_s)


def test_codec_fits_the_protocol() -> None:
    codec: Codec = AnthropicCodec()
    assert codec.dialect == "anthropic"


class ReceivedStream:
    """The content of a stream, as a client of OpenAI's dialect reads it."""

    def __init__(self, stream: bytes) -> None:
        self.text = self.reasoning = ""
        self.calls: dict[int, list[str]] = {}
        self.finish: str | None = None
        self.usage: dict[str, int] | None = None
        self.is_ended = stream.endswith(b"data: [DONE]\n\n")
        for chunk in _json_events(stream.removesuffix(b"data: [DONE]\n\n")):
            self.usage = chunk.get("usage") or self.usage
            for choice in chunk["choices"]:
                self._hear(choice["delta"])
                self.finish = choice["finish_reason"] or self.finish

    def _hear(self, delta: dict[str, Any]) -> None:
        self.text += delta.get("content", "")
        self.reasoning += delta.get("reasoning_content", "")
        for call in delta.get("tool_calls", ()):
            name_and_arguments = self.calls.setdefault(call["index"], ["", ""])
            name_and_arguments[0] += call["function"].get("name", "")
            name_and_arguments[1] += call["function"]["arguments"]


def _json_events(stream: bytes) -> Iterator[dict[str, Any]]:
    for line in stream.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            yield json.loads(line[5:])


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
def test_anthropic_streams_arrive_whole(size: int) -> None:
    for exchange in recorded("api.anthropic.com/v1/messages", is_stream=True):
        decoder = AnthropicStream(ChatWriter(wants_usage=True))
        received = ReceivedStream(drain(decoder, _pieces(exchange.body, size)))
        events = list(_json_events(exchange.body))
        deltas = [(item["index"], item["delta"]) for item in events if item["type"] == "content_block_delta"]
        starts = {item["index"]: item["content_block"] for item in events if item["type"] == "content_block_start"}
        assert received.text == "".join(delta["text"] for _, delta in deltas if delta["type"] == "text_delta")
        assert received.reasoning == "".join(
            delta["thinking"] for _, delta in deltas if delta["type"] == "thinking_delta"
        )
        calls = [
            [
                block["name"],
                "".join(delta["partial_json"] for at, delta in deltas if at == index and "partial_json" in delta),
            ]
            for index, block in starts.items()
            if block["type"].endswith("tool_use")
        ]
        assert calls
        assert list(received.calls.values()) == calls
        last = next(item for item in events if item["type"] == "message_delta")
        assert received.finish == FINISH[last["delta"]["stop_reason"]]
        usage = decoder.usage
        assert usage is not None
        assert usage.tokens_out == last["usage"]["output_tokens"]
        assert usage.tokens_in == sum(
            last["usage"].get(name, 0)
            for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        )
        assert received.usage == {"prompt_tokens": usage.tokens_in, "completion_tokens": usage.tokens_out}
        assert (decoder.is_done, decoder.has_content, decoder.failure, received.is_ended) == (True, True, None, True)


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
def test_gemini_streams_arrive_whole(size: int) -> None:
    streams = recorded("streamGenerateContent", is_stream=True)
    # Whole answers have the form of a stream's only event, and the recorded ones hold function calls.
    whole = [
        Recorded(item.uri, 200, True, b"", b"data: " + item.body + b"\r\n\r\n")
        for item in recorded(":generateContent", is_stream=False)
        if item.status == 200 and b'"candidates"' in item.body
    ]
    calls_seen = 0
    for exchange in streams + whole:
        decoder = GeminiStream(ChatWriter(wants_usage=True))
        received = ReceivedStream(drain(decoder, _pieces(exchange.body, size)))
        events = list(_json_events(exchange.body))
        candidates = [candidate for item in events for candidate in item.get("candidates", ())]
        parts = [part for candidate in candidates for part in candidate.get("content", {}).get("parts", ())]
        is_finished = any("finishReason" in candidate for candidate in candidates)
        assert received.text == "".join(part.get("text", "") for part in parts if not part.get("thought"))
        assert received.reasoning == "".join(part["text"] for part in parts if part.get("thought"))
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        assert [[name, json.loads(arguments)] for name, arguments in received.calls.values()] == [
            [call["name"], call.get("args", {})] for call in calls
        ]
        calls_seen += len(calls)
        account = [item["usageMetadata"] for item in events if "usageMetadata" in item][-1]
        assert decoder.usage is not None
        assert decoder.usage.tokens_in + decoder.usage.tokens_out == account["totalTokenCount"]
        assert decoder.usage.tokens_reasoning == account.get("thoughtsTokenCount", 0)
        assert (decoder.is_done, decoder.failure is None, received.is_ended) == (is_finished,) * 3
        if is_finished:
            assert received.finish in ("stop", "length", "tool_calls", "content_filter")
            assert (received.finish == "tool_calls") is bool(calls)
    assert calls_seen


def test_output_of_decoder_is_readable_as_openai_stream() -> None:
    exchange = recorded("api.anthropic.com/v1/messages", is_stream=True)[0]
    decoder = AnthropicStream(ChatWriter(wants_usage=True))
    out = drain(decoder, [exchange.body])
    reader = OpenAIStream(keep_usage=True)
    assert drain(reader, [out]) == out
    assert reader.failure is None
    assert reader.usage is not None
    assert decoder.usage is not None
    assert reader.usage.tokens_out == decoder.usage.tokens_out


def test_errors_inside_and_early_ends_are_failures() -> None:
    start = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\n\n'
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    decoder = AnthropicStream(ChatWriter(wants_usage=False))
    drain(decoder, [start + error])
    assert not decoder.has_content
    assert decoder.failure is not None
    assert decoder.failure.kind.code == "upstream_overloaded"
    decoders: list[tuple[StreamDecoder, bytes]] = [
        (AnthropicStream(ChatWriter(wants_usage=False)), start),
        (
            GeminiStream(ChatWriter(wants_usage=False)),
            b'data: {"candidates":[{"content":{"parts":[{"text":"x"}]}}]}\r\n\r\n',
        ),
    ]
    for early, data in decoders:
        drain(early, [data])
        assert early.failure is not None
        assert early.failure.kind.code == "truncated"
