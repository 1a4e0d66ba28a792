"""The work of a batch as text."""

from fakes.batches import WORK
from pointsman.domain.batches import decode_work, encode_work


def test_work_survives_its_text() -> None:
    assert decode_work(encode_work(WORK)) == WORK
    assert WORK.lines == 2


def test_text_of_another_version_is_no_work() -> None:
    assert decode_work("") is decode_work("[1]") is decode_work("{") is None
