"""A throwaway decoder of Anthropic's streams: proof that the seam for other dialects holds.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from typing import Any

import msgspec

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._openai_errors import classify_inside
from pointsman.wire.errors import error_event
from pointsman.wire.sse import EventSplitter, event_data, split_events

FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
TOOLS = ("tool_use", "server_tool_use", "mcp_tool_use")


class ChatWriter:
    """A writer of chunks in OpenAI's dialect. Dialects and providers meet only here."""

    def __init__(self, *, wants_usage: bool) -> None:
        self.wants_usage = wants_usage

    def delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def end(self, usage: Usage | None) -> bytes:
        out = b""
        if self.wants_usage and usage is not None:
            counts = {"prompt_tokens": usage.tokens_in, "completion_tokens": usage.tokens_out}
            out = self._event({"choices": [], "usage": counts})
        return out + b"data: [DONE]\n\n"

    def _event(self, chunk: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode({"object": "chat.completion.chunk", **chunk}) + b"\n\n"


class Decoding:
    """The common parts of both decoders."""

    is_finished = False
    is_done = False
    left_out = 0
    failure: Failure | None = None

    @property
    def is_ending(self) -> bool:
        return self.is_done or self.failure is not None

    @is_ending.setter
    def is_ending(self, value: bool) -> None:
        raise AttributeError

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        return error_event(failure, request_id)


class AnthropicStream(Decoding):
    """A `StreamDecoder`."""

    def __init__(self, writer: ChatWriter) -> None:
        self.has_content = False
        self.is_done = False
        self.usage: Usage | None = None
        self.failure: Failure | None = None
        self.events = 0
        self._writer = writer
        self._splitter = EventSplitter()
        self._tools: dict[int, int] = {}  # index of a content block -> index of the tool call
        self._counts: dict[str, int] = {}

    def feed(self, data: bytes) -> bytes:
        out = b"".join(self._read(event) for event in split_events(self._splitter.feed(data)))
        self.events += out.count(b"\n\n")
        return out

    def close(self) -> bytes:
        if not self.is_done and self.failure is None:
            self.failure = Failure(failures.TRUNCATED, "the stream ended before message_stop")
        return b""

    def _read(self, event: bytes) -> bytes:
        data = event_data(event)
        if data is None or self.is_done or self.failure is not None:
            return b""
        found: dict[str, Any] = msgspec.json.decode(data)
        kind = found["type"]
        if kind == "message_start":
            self._count(found["message"]["usage"])
            return self._writer.delta({"role": "assistant"})
        if kind == "content_block_start":
            return self._begin(found["index"], found["content_block"])
        if kind == "content_block_delta":
            return self._delta(found["index"], found["delta"])
        if kind == "message_delta":
            self._count(found["usage"])
            self.has_content = True
            return self._writer.delta({}, FINISH.get(found["delta"]["stop_reason"], "stop"))
        if kind == "message_stop":
            self.is_done = self.has_content = True
            return self._writer.end(self.usage)
        if kind == "error":
            self.failure = classify_inside(data)
        return b""

    def _begin(self, index: int, block: dict[str, Any]) -> bytes:
        if block["type"] not in TOOLS:
            return b""
        number = self._tools[index] = len(self._tools)
        self.has_content = True
        call = {"index": number, "id": block["id"], "function": {"name": block["name"], "arguments": ""}}
        return self._writer.delta({"tool_calls": [call]})

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        kind = delta["type"]
        if kind == "input_json_delta":
            call = {"index": self._tools[index], "function": {"arguments": delta["partial_json"]}}
            return self._writer.delta({"tool_calls": [call]})
        names = {"text_delta": ("text", "content"), "thinking_delta": ("thinking", "reasoning_content")}
        if kind not in names:
            return b""
        theirs, ours = names[kind]
        self.has_content = True
        return self._writer.delta({ours: delta[theirs]})

    def _count(self, usage: dict[str, Any]) -> None:
        """The prompt is counted in the first event, the answer in the last but one; both may be repeated."""
        self._counts |= {name: count for name, count in usage.items() if isinstance(count, int)}
        cached = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        tokens_in = self._counts.get("input_tokens", 0) + cached + written
        self.usage = Usage(tokens_in, self._counts.get("output_tokens", 0), cached)
