"""A stream of events as one JSON list, for clients of Google's APIs that do not ask for events.

https://cloud.google.com/apis/docs/system-parameters (`$alt`): without `alt=sse`, the answers of a stream are the
elements of a list, which arrive one by one.
"""

import sys

from pointsman.wire.sse import EventSplitter, event_data, split_events

_SPACE = b"\n"  # in place of a comment, which keeps a connection open


class EventList:
    """Turns events into the elements of a list. It is fed in pieces of any size. It has no bound of its own: each event
    comes from the reader of a provider's stream, which `routing.event_bytes` bounds."""

    def __init__(self) -> None:
        self._splitter = EventSplitter(sys.maxsize)
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        """Return the part of the list that is complete."""
        if self._splitter.is_between and not data.strip():
            return data  # nothing but a heartbeat
        out: list[bytes] = []
        for event in split_events(self._splitter.feed(data)):
            found = event_data(event)
            if found is None or not found.strip():
                out.append(_SPACE)
                continue
            out += [b"," if self._has_begun else b"[", found, _SPACE]
            self._has_begun = True
        return b"".join(out)

    def close(self) -> bytes:
        """Return the end of the list."""
        return b"]" if self._has_begun else b"[]"
