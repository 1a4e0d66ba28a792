"""Events and JSON get another model; whatever else passes unchanged."""

from pointsman.engine.renaming import Renaming

EVENTS = {b"content-type": b"text/event-stream; charset=utf-8"}
JSON = {b"content-type": b"application/json"}


class Collected:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.body = b""
        self.is_over = False

    def write(self, data: bytes) -> bool:
        self.body += data
        return False

    def end(self) -> None:
        self.is_over = True


def test_events_are_renamed() -> None:
    out = Collected()
    renaming = Renaming(out, "chat")
    renaming.begin(EVENTS, None)
    assert renaming.write(b'data: {"model":"x"}\n\ndata: [DO') is False
    renaming.write(b"NE]")
    renaming.end()
    assert out.body == b'data: {"model":"chat"}\n\ndata: [DONE]'
    assert out.is_over


def test_what_is_no_stream_of_events_passes_unchanged() -> None:
    for headers, length in (({b"content-type": b"audio/mpeg"}, None), (EVENTS, 21)):
        out = Collected()
        renaming = Renaming(out, "chat")
        renaming.begin(headers, length)
        renaming.write(b'data: {"model":"x"}\n\n')
        assert out.body == b'data: {"model":"x"}\n\n'


def test_a_whole_answer_is_renamed_by_its_kind() -> None:
    renaming = Renaming(Collected(), "chat")
    assert renaming.whole(JSON, b'{"model":"x"}') == b'{"model":"chat"}'
    assert renaming.whole(EVENTS, b'data: {"model":"x"}\n\ndata: [DONE]\n\n').startswith(b'data: {"model":"chat"}')
    assert renaming.whole({b"content-type": b"audio/mpeg"}, b'{"model":"x"}') == b'{"model":"x"}'
