"""Streams of events as JSON lists, on their way to a client."""

import json

from pointsman.engine.responses import provider_lines
from pointsman.engine.sink import ListedEvents

EVENTS = b'data: {"a":1}\n\ndata: {"b":2}\n\n'


class Kept:
    def __init__(self) -> None:
        self.headers, self.body, self.ends = b"", b"", list[str]()

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        self.headers, self.body = headers, body

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        self.headers = headers
        assert length is None

    def write(self, data: bytes) -> bool:
        self.body += data
        return False

    def end(self) -> None:
        self.ends.append("end")

    def abort(self) -> None:
        self.ends.append("abort")


def test_stream_becomes_a_list() -> None:
    kept = Kept()
    sink = ListedEvents(kept)
    sink.start(200, provider_lines({}, is_stream=True), None)
    assert sink.write(b'data: {"a"')  # nothing reaches the client yet
    assert not sink.write(EVENTS[len(b'data: {"a"') :])
    sink.end()
    assert b"content-type: application/json; charset=utf-8\r\n" in kept.headers
    assert b"event-stream" not in kept.headers
    assert json.loads(kept.body) == [{"a": 1}, {"b": 2}]
    assert kept.ends == ["end"]


def test_whole_stream_becomes_a_list_and_other_bodies_pass() -> None:
    kept = Kept()
    ListedEvents(kept).send(200, provider_lines({}, is_stream=True), EVENTS)
    assert json.loads(kept.body) == [{"a": 1}, {"b": 2}]
    ListedEvents(kept).send(400, b"content-type: application/json\r\n", b"{}")
    assert kept.body == b"{}"


def test_aborted_answer_is_no_whole_list() -> None:
    kept = Kept()
    sink = ListedEvents(kept)
    sink.start(200, provider_lines({}, is_stream=True), None)
    sink.write(EVENTS)
    sink.abort()
    assert kept.ends == ["abort"]
    assert not kept.body.endswith(b"]")
