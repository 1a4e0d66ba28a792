"""Records on the standard output, and a reader that stops."""

import os

import pytest

from fakes.origin import run
from fakes.sinks import sink
from pointsman.admin.delivery import DeliveryError
from pointsman.admin.following import Message
from pointsman.admin.sinks import stdout
from pointsman.admin.sinks.stdout import OPEN, StdoutSink


def message(one: StdoutSink, name: str, *lines: bytes) -> Message:
    body, count = one.encode(lines)
    return Message(name, 0.0, body, count)


def test_reader_that_stops_gets_every_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdout, "WAIT_S", 0.01)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    one = StdoutSink(writer)
    lines = [b"%07d" % number for number in range(30_000)]  # more than a pipe holds
    sent, tries, found = message(one, "1-2", *lines), 0, b""
    while True:
        tries += 1
        try:
            run(one.send(sent))
            break
        except DeliveryError:
            found += os.read(reader, 1 << 20)
    run(one.send(message(one, "3-4", b"end")))
    found += os.read(reader, 1 << 20)
    assert tries > 1
    assert found == b"".join(line + b"\n" for line in (*lines, b"end"))
    os.close(reader)
    with pytest.raises(DeliveryError, match="cannot be written"):
        run(one.send(message(one, "5-6", b"end")))
    os.close(writer)


def test_sink_writes_to_the_standard_output() -> None:
    assert isinstance(OPEN(sink("stdout")), StdoutSink)
