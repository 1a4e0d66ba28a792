"""A sink that keeps the text of a stream reads it in batches, and passes every byte on at once."""

from msgspec.structs import replace

from fakes.dialects import call_of
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Done, Finish, Piece, Start, TextPiece, UsagePiece
from pointsman.engine.continuation import READ_BYTES, Recording
from pointsman.wire.delivered import MOST_TEXT, ContinuingWriter, Delivered
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.openai_chat import HALVES
from pointsman.wire.openai_chat._resuming import RESUMING
from unit.engine.test_renaming import Collected
from unit.wire.test_delivered import fields_of

CHAT = DIALECTS["openai"]
CALL = call_of(CHAT, fields_of(CHAT))


def recording() -> tuple[Recording, Collected, Delivered]:
    out, delivered = Collected(), Delivered(HALVES, RESUMING, CALL)
    return Recording(out, delivered), out, delivered


def test_events_are_read_in_batches_and_passed_on_at_once() -> None:
    sink, out, delivered = recording()
    sink.start(200, b"x: y\r\n")
    writer, sent = HALVES.writer(CALL, 1e9), b""
    numbers = range(READ_BYTES // 100)
    pieces: list[Piece] = [Start("x", "m"), *[TextPiece(f"{number} ") for number in numbers]]
    for piece in pieces:
        event = writer.write((piece,))
        assert sink.write(event) is False  # as the sink behind it says
        sent += event
    assert out.body == sent
    some, whole = delivered.text, "".join(f"{number} " for number in numbers)
    assert 0 < len(some) < len(whole)
    assert sink.delivered().text == whole
    sink.end()
    assert out.is_over


def test_answer_that_cannot_be_continued_is_not_kept() -> None:
    for pieces in ((Start("x"), TextPiece("a"), Finish("stop")), (Start("x"), TextPiece("a" * (MOST_TEXT + 1)))):
        sink, out, delivered = recording()
        sink.write(HALVES.writer(CALL, 1e9).write(pieces))
        assert not sink.delivered().is_text
        assert delivered.text == ""
        sink.write(b"data: more\n\n")
        sink.abort()
        assert out.body.endswith(b"more\n\n")
        assert out.is_aborted
        assert sink.delivered().text == ""


def test_whole_answer_passes() -> None:
    sink, out, _ = recording()
    sink.send(200, b"", b"{}")
    assert out.body == b"{}"


def test_usage_of_a_continuation_has_the_first_prompt_and_all_output() -> None:
    call = replace(CALL, wants_usage=True)
    writer = ContinuingWriter(HALVES.writer(call, 1e9), "", "", Usage(7, 3), echoes=False)
    written = writer.write((Start("y"), TextPiece("b"), Finish("stop"), UsagePiece(Usage(9, 4)), Done()))
    assert b'"prompt_tokens":7,"completion_tokens":7,"total_tokens":14' in written
