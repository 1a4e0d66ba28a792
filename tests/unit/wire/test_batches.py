"""Lines and objects of batches."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pointsman.domain.failures import Rejection
from pointsman.wire.batches import (
    MARK,
    MAX_LINE_BYTES,
    LineCutter,
    can_mark,
    marked,
    read_batch,
    read_line,
    read_output,
    read_page,
    write_line,
)


@given(text=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_lines_do_not_depend_on_the_pieces(text: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(min(one, len(text)) for one in cuts)})
    cutter, found = LineCutter(), list[bytes]()
    for start, end in pairwise(places):
        found += cutter.feed(text[start:end])
    assert found + cutter.end() == [line for line in text.split(b"\n") if line.strip()]


def test_endless_line_is_rejected() -> None:
    cutter = LineCutter()
    with pytest.raises(ValueError, match="longer than"):
        cutter.feed(b"x" * (MAX_LINE_BYTES + 1))


def test_other_fields_of_a_line_are_kept() -> None:
    line = read_line(b'{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"x": 1}, "more": [1.0]}')
    assert (line.url, line.path) == ("/v1/embeddings", "/embeddings")
    written = write_line(line, b'{"y":2}')
    assert written.endswith(b"\n")
    assert json.loads(written) == json.loads(
        '{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"y": 2}, "more": [1.0]}'
    )


@pytest.mark.parametrize("text", [b"[]", b'{"custom_id": 1}', b'{"body": {}, "body": {}}', b"\xff"])
def test_malformed_line_is_rejected(text: bytes) -> None:
    with pytest.raises(Rejection):
        read_line(text)


@pytest.mark.parametrize(
    ("metadata", "can"),
    [
        (None, True),
        ({"a": "b"}, True),
        ({str(number): "" for number in range(16)}, False),
        ({**{str(number): "" for number in range(15)}, MARK: "theirs"}, True),
        ("text", False),
    ],
)
def test_mark_is_added_to_metadata_with_room(metadata: object, can: bool) -> None:
    fields = {"metadata": Raw(json.dumps(metadata).encode())}
    assert can_mark(fields) is can
    assert can_mark({})
    if can:
        found = json.loads(bytes(marked(fields, "attempt-1")["metadata"]))
        assert found == {**(metadata if isinstance(metadata, dict) else {}), MARK: "attempt-1"}


def test_mark_of_a_client_is_removed() -> None:
    fields = {"metadata": Raw(json.dumps({"a": "b", MARK: "theirs"}).encode())}
    assert json.loads(bytes(marked(fields, None)["metadata"])) == {"a": "b"}
    for kept in ({}, {"metadata": Raw(b'"text"')}, {"metadata": Raw(b'{"a":"b"}')}):
        assert marked(kept, None) == kept


def test_batch_object_reports_its_end_and_its_usage() -> None:
    body = {"id": "b", "status": "expired", "metadata": {MARK: "x-1"}, "usage": {"input_tokens": 3, "output_tokens": 4}}
    found = read_batch(json.dumps(body).encode())
    assert found is not None
    assert (found.has_ended, found.mark) == (True, "x-1")
    used = found.used()
    assert used is not None
    assert (used.tokens_in, used.tokens_out) == (3, 4)
    assert read_batch(b"[") is None
    for usage in (b"null", b"{}", b'{"input_tokens": 0, "output_tokens": 0}'):
        early = read_batch(b'{"id": "b", "status": "validating", "usage": %b}' % usage)
        assert early is not None
        assert early.used() is None


def test_output_lines_report_usage_unless_they_failed() -> None:
    answer = {"model": "m-2026", "usage": {"prompt_tokens": 5, "completion_tokens": 6}}
    good = read_output(json.dumps({"response": {"status_code": 200, "body": answer}}).encode())
    assert good is not None
    assert good.usage is not None
    assert (good.model, good.usage.tokens_in, good.usage.tokens_out) == ("m-2026", 5, 6)
    bad = read_output(json.dumps({"response": {"status_code": 429, "body": answer}}).encode())
    assert bad is not None
    assert not bad.is_good
    late = read_output(b'{"response": null, "error": {"code": "batch_expired"}}')
    assert late is not None
    assert not late.is_good
    for text in (b"[1", b"{}", b'{"response": {"body": {}}}', b'{"response": null, "error": null}'):
        assert read_output(text) is None


@pytest.mark.parametrize("body", [b"{}", b'{"id": "b"}', b'{"id": "b", "status": "x", "request_counts": {}}'])
def test_object_without_its_fields_is_not_a_batch(body: bytes) -> None:
    assert read_batch(body) is None
    assert read_page(b'{"data": [%b]}' % body) is None


def test_page_without_data_is_no_empty_list() -> None:
    assert read_page(b"{}") is None
    page = read_page(b'{"data": []}')
    assert page is not None
    assert page.data == []
