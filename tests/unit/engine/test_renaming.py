"""Events and JSON get the requested model's name. Other bodies pass unchanged."""

from pointsman.engine.renaming import Renaming

EVENTS = {b"content-type": b"text/event-stream; charset=utf-8"}
JSON = {b"content-type": b"application/json"}


class Collected:
    """A sink that records its calls."""

    def __init__(self) -> None:
        self.body = b""
        self.is_over = self.is_aborted = False

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        self.body, self.is_over = body, True

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        assert (status, headers) == (200, b"x: y\r\n")

    def write(self, data: bytes) -> bool:
        self.body += data
        return False

    def end(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_aborted = True


def test_events_are_renamed() -> None:
    out = Collected()
    renaming = Renaming(out, "chat", EVENTS)
    renaming.start(200, b"x: y\r\n", None)
    assert renaming.write(b'data: {"model":"x"}\n\ndata: [DO') is False
    renaming.write(b"NE]")
    renaming.end()
    assert out.body == b'data: {"model":"chat"}\n\ndata: [DONE]'
    assert out.is_over


def test_other_streams_pass_unchanged() -> None:
    for headers, length in (({b"content-type": b"audio/mpeg"}, None), (EVENTS, 21)):
        out = Collected()
        renaming = Renaming(out, "chat", headers)
        renaming.start(200, b"x: y\r\n", length)
        renaming.write(b'data: {"model":"x"}\n\n')
        assert out.body == b'data: {"model":"x"}\n\n'
        renaming.abort()
        assert out.is_aborted


def test_whole_answer_is_renamed_by_its_content_type() -> None:
    for headers, body, renamed in (
        (JSON, b'{"model":"x"}', b'{"model":"chat"}'),
        (EVENTS, b'data: {"model":"x"}\n\ndata: [DONE]\n\n', b'data: {"model":"chat"}\n\ndata: [DONE]\n\n'),
        ({b"content-type": b"audio/mpeg"}, b'{"model":"x"}', b'{"model":"x"}'),
    ):
        out = Collected()
        Renaming(out, "chat", headers).send(200, b"", body)
        assert out.body == renamed
