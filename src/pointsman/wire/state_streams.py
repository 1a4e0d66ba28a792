"""Find the ids that a stream reports while it is passed on, before the client has them.

The first events are read, since there an answer identifies itself. After them, only events that add an item to a
response are read. They are found by their name. An answer in one piece that is passed on unread gives its id at its
beginning.

https://platform.openai.com/docs/api-reference/responses-streaming, …/assistants-streaming, …/chat-streaming
"""

import re

import msgspec

from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.state import ID, reported_by

FIRST_EVENTS = 4
MAX_EVENT = 256 * 1024
_END = re.compile(rb"\r?\n\r?\n")
_ADDED = b"response.output_item.added"
_FIRST_ID = re.compile(rb'\A\s*\{\s*(?:"object"\s*:\s*"[^"\\]*"\s*,\s*)?"id"\s*:\s*"([^"\\]*)"')


class StateStream:
    """Takes a stream piece by piece. `made` is the id of the created object, once it is known."""

    def __init__(self, *, has_items: bool) -> None:
        self.made: str | None = None
        self._has_items = has_items
        self._rest = b""
        self._read = 0  # events

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Return the kinds and ids that this piece completes."""
        if self._read >= FIRST_EVENTS and not self._has_items:
            return []
        found: list[tuple[str, str]] = []
        buffer = self._rest + data
        if self._read < FIRST_EVENTS:
            if not self._read and self.made is None and (match := _FIRST_ID.match(buffer[:1024])):
                self.made = match[1].decode()  # not a stream
            while self._read < FIRST_EVENTS and (match := _END.search(buffer)):
                self._read += 1
                found += self._ids_in(buffer[: match.start()])
                buffer = buffer[match.end() :]
        if self._read >= FIRST_EVENTS:
            buffer = self._find_items(buffer, found) if self._has_items else b""
        elif len(buffer) > MAX_EVENT:
            self._read, buffer = FIRST_EVENTS, b""
        self._rest = buffer
        return found

    def _find_items(self, buffer: bytes, found: list[tuple[str, str]]) -> bytes:
        """Read the events that add items. Return the bytes to search again with the next piece."""
        while (at := buffer.find(_ADDED)) >= 0:
            start = buffer.rfind(b"\n", 0, at) + 1
            end = _END.search(buffer, at)
            if end is None:
                return buffer[start:] if len(buffer) - start <= MAX_EVENT else b""
            found += self._ids_in(buffer[start : end.start()])
            buffer = buffer[end.end() :]
        # The event's name may be incomplete, and its line begins before it.
        start = buffer.rfind(b"\n") + 1
        return buffer[start:] if len(buffer) - start < 128 else buffer[1 - len(_ADDED) :]

    def _ids_in(self, event: bytes) -> list[tuple[str, str]]:
        lines = event.replace(b"\r\n", b"\n").split(b"\n")
        data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
        try:
            value = msgspec.json.decode(data)
        except UNREADABLE:
            return []
        if not isinstance(value, dict):
            return []
        response, item = value.get("response"), value.get("item")
        answer = response if isinstance(response, dict) else value
        if self.made is None and isinstance(answer.get("id"), str) and ID.fullmatch(answer["id"]):
            self.made = answer["id"]
        found = reported_by(answer, has_items=self._has_items)
        if isinstance(item, dict) and str(value.get("type")).startswith("response.output_item"):
            found += reported_by({"output": [item]}, has_items=self._has_items)
        return found
