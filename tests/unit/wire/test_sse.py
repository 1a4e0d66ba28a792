"""Server-sent events in pieces of any size."""

import pytest

from fakes.wire import halves
from pointsman.wire.sse import MAX_EVENT_BYTES, EventSplitter, EventTooLong, event_data, split_events

EVENTS = b"data: one\n\n: comment\n\nevent: x\ndata: two\ndata: lines\n\nid: 1\n\ndata:three\n\n"


def fed(pieces: list[bytes]) -> tuple[bytes, bytes]:
    splitter = EventSplitter()
    return b"".join(splitter.feed(piece) for piece in pieces), splitter.rest()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("tail", [b"", b"data: unfinished"])
def test_every_split_gives_the_same_events(end: bytes, tail: bytes) -> None:
    stream = EVENTS.replace(b"\n", end) + tail
    for pieces in halves(stream):
        assert fed(pieces) == (EVENTS, tail)


def test_only_whole_events_are_returned() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n") == b""
    assert splitter.feed(b"\nda") == b"data: a\n\n"
    assert splitter.feed(b"ta: b") == b""
    assert splitter.rest() == b"data: b"


def test_empty_piece_changes_nothing() -> None:
    assert fed([b"data: a\r", b"", b"\n\r", b"", b"\ndata: b\r\n\r\n"]) == (b"data: a\n\ndata: b\n\n", b"")


def test_endless_event_is_rejected() -> None:
    splitter = EventSplitter()
    piece = b"x" * (MAX_EVENT_BYTES // 4)
    for _ in range(4):
        assert splitter.feed(piece) == b""
    with pytest.raises(EventTooLong):
        splitter.feed(piece)
    assert len(splitter.rest()) <= MAX_EVENT_BYTES + len(piece)


def test_data_of_events_is_read() -> None:
    events = split_events(EVENTS)
    assert b"".join(events) == EVENTS
    assert [event_data(event) for event in events] == [b"one", None, b"two\nlines", None, b"three"]
    assert event_data(b"data\n\n") == b""
    assert event_data(b"data:  two spaces\n\n") == b" two spaces"
    assert event_data(b"database: x\n\n") is None
    assert event_data(b"\xef\xbb\xbfdata: after a byte order mark\n\n") == b"after a byte order mark"
