"""A throwaway decoder of Gemini's streams: proof that the seam for other dialects holds.

https://ai.google.dev/api/generate-content
"""

from typing import Any

import msgspec

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._openai_errors import classify_inside
from pointsman.wire.sse import EventSplitter, event_data, split_events
from unit.providers.seam_anthropic import ChatWriter, Decoding

FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "PROHIBITED_CONTENT": "content_filter"}


class GeminiStream(Decoding):
    """A `StreamDecoder`."""

    def __init__(self, writer: ChatWriter) -> None:
        self.has_content = False
        self.is_done = False
        self.usage: Usage | None = None
        self.failure: Failure | None = None
        self.events = 0
        self._writer = writer
        self._splitter = EventSplitter()
        self._calls = 0
        self._finish: str | None = None

    def feed(self, data: bytes) -> bytes:
        out = b"".join(self._read(event) for event in split_events(self._splitter.feed(data)))
        self.events += out.count(b"\n\n")
        return out

    def close(self) -> bytes:
        """There is no closing event: the connection's regular end after a finish reason is the end."""
        if self.failure is not None:
            return b""
        if self._finish is None:
            self.failure = Failure(failures.TRUNCATED, "the stream ended before a finish reason")
            return b""
        self.is_done = self.has_content = True
        return self._writer.delta({}, self._finish) + self._writer.end(self.usage)

    def _read(self, event: bytes) -> bytes:
        data = event_data(event)
        if data is None or self.failure is not None:
            return b""
        found: dict[str, Any] = msgspec.json.decode(data)
        if "error" in found:
            self.failure = classify_inside(data)
            return b""
        if "usageMetadata" in found:
            self._count(found["usageMetadata"])
        out = b""
        for candidate in found.get("candidates", ()):
            for part in candidate.get("content", {}).get("parts", ()):
                out += self._part(part)
            if "finishReason" in candidate:
                reason = FINISH.get(candidate["finishReason"], "stop")
                self._finish = "tool_calls" if self._calls and reason == "stop" else reason
        return out

    def _part(self, part: dict[str, Any]) -> bytes:
        if "functionCall" in part:
            call = part["functionCall"]
            arguments = msgspec.json.encode(call.get("args", {})).decode()
            number = self._calls
            self._calls += 1
            self.has_content = True
            function = {"name": call["name"], "arguments": arguments}
            return self._writer.delta({"tool_calls": [{"index": number, "id": f"call_{number}", "function": function}]})
        if not part.get("text"):
            return b""
        self.has_content = True
        return self._writer.delta({"reasoning_content" if part.get("thought") else "content": part["text"]})

    def _count(self, usage: dict[str, Any]) -> None:
        """Every event repeats the whole usage. Thoughts are billed as output but counted separately."""
        thoughts = usage.get("thoughtsTokenCount", 0)
        tokens_in = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
        tokens_out = usage.get("candidatesTokenCount", 0) + thoughts
        self.usage = Usage(tokens_in, tokens_out, usage.get("cachedContentTokenCount", 0), thoughts)
