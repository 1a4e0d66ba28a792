"""The form of a file: lines of a batch are taken one by one, however the form is cut; other files pass unread."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.failures import Rejection
from pointsman.wire.batch_form import SLICE_BYTES, BatchFormReader
from pointsman.wire.json_object import rejection

PART = b'--B\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
FILE = b'; filename="a.jsonl"'
FIRST = b'{"body":{"model":"small"}}'


def form(data: bytes, purpose: bytes = b"batch") -> bytes:
    return PART % (b"purpose", b"", purpose) + PART % (b"file", FILE, data) + b"--B--\r\n"


def read(pieces: list[bytes], taken: list[tuple[int, bytes]]) -> tuple[BatchFormReader, bytes]:
    """Read a form as a relay does. Return the reader and the bytes that it passes on."""

    def take(number: int, line: bytes) -> bytes:
        taken.append((number, line))
        return b"<" + line + b">\n"

    reader, out, rest = BatchFormReader(b"B", finds_state=False), b"", list(pieces)
    while rest and not reader.is_settled():
        out += reader.feed(rest.pop(0))
    if not reader.is_batch:
        return reader, out + reader.pass_on() + b"".join(reader.feed(one) for one in rest)
    assert reader.first_model(has_ended=False, most_held=1000) == "small"
    reader.decide()
    reader.take_line = take
    for piece in [b"", *rest]:
        out += reader.feed(piece)
        while reader.is_behind:
            out += reader.feed(b"")
    reader.end()
    return reader, out


def cut(whole: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(whole), *(one % len(whole) for one in at)})
    return [whole[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)
LINES = st.lists(
    st.binary(min_size=1, max_size=30).filter(
        lambda one: b"\n" not in one and one.strip() == one and b"--B" not in one and b"\r" not in one
    ),
    max_size=20,
)


@given(lines=LINES, at=CUTS, ends=st.booleans())
def test_every_line_is_taken_once_however_the_form_is_cut(lines: list[bytes], at: list[int], ends: bool) -> None:
    lines = [FIRST, *lines]
    taken: list[tuple[int, bytes]] = []
    _, out = read(cut(form(b"\n".join(lines) + b"\n" * ends), at), taken)
    assert taken == list(enumerate(lines, 1))
    assert out == form(b"".join(b"<" + line + b">\n" for line in lines))


@given(data=st.binary(max_size=200), at=CUTS, purpose=st.sampled_from([b"user_data", b"assistants", b"\xff"]))
def test_any_other_file_passes_unread(data: bytes, at: list[int], purpose: bytes) -> None:
    whole, taken = form(data, purpose), list[tuple[int, bytes]]()
    reader, out = read(cut(whole, at), taken)
    assert (out, taken, reader.is_batch) == (whole, [], False)


def test_purpose_after_the_file_leaves_it_unread() -> None:
    whole = PART % (b"file", FILE, FIRST) + PART % (b"purpose", b"", b"batch") + b"--B--\r\n"
    reader, out = read([whole], [])
    assert (out, reader.is_batch) == (whole, False)


def test_rejected_line_has_its_number() -> None:
    reader = BatchFormReader(b"B", finds_state=False)
    reader.feed(form(FIRST + b"\n\nx\ny\n"))
    reader.decide()

    def take(number: int, line: bytes) -> bytes:
        if line == b"y":
            raise rejection("it is not JSON", "body")
        return line

    reader.take_line = take
    with pytest.raises(Rejection) as caught:
        reader.feed(b"")
    failure = caught.value.failure
    assert (failure.message, failure.param) == ("line 3: it is not JSON", "file[3].body")


def test_long_file_is_read_in_slices() -> None:
    reader = BatchFormReader(b"B", finds_state=False)
    lines = [FIRST] * 10_000
    reader.feed(form(b"\n".join(lines)))
    reader.decide()
    reader.take_line = lambda _, line: line
    sizes = [len(reader.feed(b""))]
    while reader.is_behind:
        sizes.append(len(reader.feed(b"")))
    assert max(sizes) <= SLICE_BYTES + len(FIRST)
    assert sum(sizes) >= len(FIRST) * len(lines)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"\n", b""),
        (b"\r\n\r\n", b""),
        (FIRST, FIRST),
        (b"\n \n" + FIRST + b"\nx", FIRST),
        (b"\n--A\n", b"--A"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_first_line_is_known_as_soon_as_it_is_whole(data: bytes, expected: bytes, size: int) -> None:
    reader, whole = BatchFormReader(b"B", finds_state=False), form(data)
    for start in range(0, len(whole), size):
        if reader.first_line() is not None:
            break
        reader.feed(whole[start : start + size])
    found = reader.first_line()
    assert found is not None
    assert found.strip() == expected


def test_long_first_line_is_searched_once() -> None:
    class Held(bytearray):
        searched = 0

        def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
            Held.searched += len(self) - int(start)
            return super().find(sub, start)

    reader = BatchFormReader(b"B", finds_state=False)
    reader.feed(PART % (b"purpose", b"", b"batch") + (PART % (b"file", FILE, b"")).removesuffix(b"\r\n"))
    reader._held = Held(reader._held)
    for _ in range(200):
        reader.feed(b"x" * 1000)
        assert not reader.is_settled()
    assert Held.searched <= 2 * 200_000
    reader.feed(b"\n")
    assert reader.first_line() == b"x" * 200_000


def test_two_files_are_rejected() -> None:
    reader = BatchFormReader(b"B", finds_state=False)
    whole = form(FIRST).removesuffix(b"--B--\r\n") + PART % (b"other", FILE, b"x") + b"--B--\r\n"
    reader.feed(whole)
    reader.decide()
    reader.take_line = lambda _, line: line
    with pytest.raises(Rejection) as caught:
        reader.feed(b"")
    assert "two files" in caught.value.failure.message
