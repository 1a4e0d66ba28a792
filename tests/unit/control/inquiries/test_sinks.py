"""A sink, as control describes it to admin."""

import msgspec

from fakes.sinks import object_sink
from pointsman.control.inquiries.sinks import SinkState


def test_sink_arrives_whole_and_its_text_shows_no_secrets() -> None:
    state = object_sink(1)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=SinkState) == state
    assert repr(state) == "SinkState(one)"
