"""The part of a record that the answer tells."""

from types import SimpleNamespace
from typing import cast

from pointsman.domain.outcomes import Usage
from pointsman.domain.records import RequestRecord
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.record import note_answer


def noted(*, is_stream: bool, events: int, committed_at: float | None = 100.5, usage: Usage | None) -> RequestRecord:
    answer = SimpleNamespace(
        bytes_in=900, committed_at=committed_at, events=events, is_stream=is_stream, used=lambda: usage
    )
    record = RequestRecord(time=1.0, request_id="id", method="POST", path="/", status=200)
    note_answer(record, cast("AnswerReceiver", answer), 100.0, 101.5)
    return record


def test_a_stream_has_the_time_of_its_first_content_and_between_its_events() -> None:
    record = noted(is_stream=True, events=5, usage=None)
    assert (record.ttft_us, record.token_gap_us, record.bytes_out) == (500_000, 250_000, 900)


def test_there_is_no_time_between_tokens_where_there_is_only_one() -> None:
    record = noted(is_stream=True, events=1, usage=None)
    assert (record.ttft_us, record.token_gap_us) == (500_000, None)


def test_an_answer_in_one_piece_or_without_content_has_neither() -> None:
    for record in (
        noted(is_stream=False, events=0, usage=None),
        noted(is_stream=True, events=0, committed_at=None, usage=None),
    ):
        assert (record.ttft_us, record.token_gap_us, record.tokens_in) == (None, None, None)


def test_every_class_of_tokens_is_noted() -> None:
    usage = Usage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "flex")
    record = noted(is_stream=False, events=0, usage=usage)
    classes = [name for name in Usage.__struct_fields__ if name != "tools"]
    assert [getattr(record, name) for name in classes] == [getattr(usage, name) for name in classes]
