"""Events as the elements of one list."""

import json

from fakes.wire import halves
from pointsman.wire.event_list import EventList
from pointsman.wire.sse import MAX_EVENT_BYTES

STREAM = b'data: {"a":"[1"}\n\n\n: a comment\n\ndata: {"b":2}\r\n\r\n'


def test_list_is_the_same_however_the_events_are_cut() -> None:
    for pieces in halves(STREAM):
        events = EventList()
        out = b"".join(map(events.feed, pieces)) + events.close()
        assert json.loads(out) == [{"a": "[1"}, {"b": 2}]


def test_event_of_any_length_is_an_element() -> None:
    events, text = EventList(), b"x" * (MAX_EVENT_BYTES + 1)
    assert events.feed(b'data: "' + text) == b""
    assert events.feed(b'"\n\n') + events.close() == b'["' + text + b'"\n]'


def test_stream_without_events_is_an_empty_list() -> None:
    events = EventList()
    assert json.loads(events.feed(b"\n") + events.close()) == []


def test_heartbeat_reaches_the_client() -> None:
    assert EventList().feed(b"\n") == b"\n"
    assert EventList().feed(b":\n\n") == b"\n"
