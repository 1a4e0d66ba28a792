"""The common parts of readers of streamed answers, regardless of the content of their events."""

from collections.abc import Callable

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.outcomes import Usage
from pointsman.providers._broken import MAX_EVENT_PARTS, dense, truncated, unreadable
from pointsman.providers._error_table import Rules
from pointsman.wire.sse import (
    HEARTBEAT,
    EventSplitter,
    Splitter,
    event_data,
    is_comment,
    split_events,
)

MAX_LEFT_OUT = 1  # events of a stream that cannot be read
LARGE_EVENT_BYTES = 64 * 1024


class EventStream:
    """A `StreamDecoder` without its `feed`. It reads each event by `_read_data`, and ends with `_end`."""

    __slots__ = (
        "_choices", "_errors", "_splitter", "content_bytes", "events", "events_left_out", "failure", "has_content",
        "is_done", "is_ending", "is_finished", "is_usage_partial", "refused", "usage",
    )  # fmt: skip
    _end = b""
    heartbeat = HEARTBEAT

    def __init__(
        self,
        choices: int,
        errors: Rules,
        max_event_bytes: int,
        splitter: Callable[[int], Splitter] = EventSplitter,
    ) -> None:
        self.has_content = False
        self.is_finished = False
        self.is_done = False
        self.is_ending = False
        self.events_left_out = 0
        self.usage: Usage | None = None
        self.is_usage_partial = False
        self.failure: Failure | None = None
        self.events = 0
        self.content_bytes = 0
        self.refused: Kind | None = None
        self._choices = choices
        self._errors = errors
        self._splitter = splitter(max_event_bytes)

    def close(self) -> bytes:
        if self._is_over():
            return b""
        rest, events_left_out = self._splitter.rest(), self.events_left_out
        out = self._read(rest.rstrip(b"\n") + b"\n\n") if rest.strip() else b""
        if self.events_left_out > events_left_out or (
            self.failure is not None and self.failure.kind is failures.MALFORMED_ANSWER
        ):
            self.events_left_out, self.failure = events_left_out, None  # cut off in the middle of an event
        if self._is_over():
            return out
        if not self.is_finished:
            self._fail(truncated())
            return out
        self.is_done = True
        return out + self._end

    def _is_over(self) -> bool:
        return self.is_done or self.failure is not None

    def _fail(self, failure: Failure) -> None:
        self.failure = failure
        self.is_ending = True

    def _read(self, whole: bytes) -> bytes:
        out: list[bytes] = []
        for event in split_events(whole):
            if len(event) > LARGE_EVENT_BYTES and is_dense(event):
                self._fail(dense())
                break
            data = event_data(event)
            if data is None or not data.strip():
                out.append(event if self.heartbeat is HEARTBEAT and is_comment(event) else self.heartbeat)
                continue
            keep = self._read_data(data, event)
            if self.failure is not None:
                break
            if keep:
                out.append(event)
            if self.is_done:
                break
        return b"".join(out)

    def _read_data(self, data: bytes, event: bytes) -> bool:
        """Read one event. Return whether it is passed on."""
        raise NotImplementedError  # each subclass reads its own events

    def _skip(self, error: Exception) -> bool:
        """Leave out an unreadable event. A second one is a failure."""
        self.events_left_out += 1
        if self.events_left_out > MAX_LEFT_OUT:
            self._fail(unreadable(error))
        return False


def is_dense(event: bytes) -> bool:
    """Return whether an event has too many parts: thousands of lines, or of objects, since each choice is one."""
    return event.count(b"\n") > MAX_EVENT_PARTS or event.count(b"{") > MAX_EVENT_PARTS
