"""Bodies reach the disk only with their masks, and never without a bound."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.bodies import BodyCapture, BodyScope, KeptBodies, Redaction
from pointsman.engine import bodies as module
from pointsman.engine.bodies import MARGIN, BodyWriter, NotedBodies
from pointsman.engine.copied_answer import AnswerCopy

CANARY = "sk-canary0123456789abcdef"
CAPTURE = BodyCapture(
    scopes=(BodyScope(),),
    max_bytes=2000,
    redaction=Redaction(kinds=("secrets", "email", "phone", "card"), fields=("pin",)),
)


def copy_of(*pieces: bytes, most: int = 100_000, whole: bool = True) -> AnswerCopy:
    copy = AnswerCopy(most, is_cut=True)
    for piece in pieces:
        copy.add(piece)
    copy.is_whole = whole
    return copy


def noted(request: bytes | None, answer: AnswerCopy, **fields: Any) -> NotedBodies:
    size = len(request or b"")
    head = {"request_id": "r-1", "at": 1.7e9, "dialect": "openai", "is_stream": False, "request_bytes": size}
    if request is not None:
        request = request[: CAPTURE.max_bytes + MARGIN]
    return NotedBodies(capture=CAPTURE, request=request, answer=answer, **{**head, **fields})


def written(folder: Path, *items: NotedBodies) -> list[KeptBodies]:
    writer = BodyWriter(folder)
    for one in items:
        writer.put(one)
    writer.close()
    assert writer.kept == len(items)
    lines = b"".join(path.read_bytes() for path in sorted((folder / "bodies").glob("*.jsonl"))).splitlines()
    return [msgspec.json.decode(line, type=KeptBodies) for line in lines]


def events(*texts: str) -> list[bytes]:
    """Return a stream with a text in each event."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks]


def test_bodies_are_masked_in_files_for_the_owner_alone(tmp_path: Path) -> None:
    request = json.dumps({"messages": [{"content": f"my key is {CANARY}"}], "pin": "1234"}).encode()
    (found,) = written(tmp_path, noted(request, copy_of(b'{"a": "', b"a@b.example", b'"}')))
    assert json.loads(found.request) == {"messages": [{"content": "my key is [secret]"}], "pin": "[field]"}
    assert json.loads(found.answer) == {"a": "[email]"}
    assert (found.request_bytes, found.answer_bytes, found.cut, found.unread) == (len(request), 20, (), ())
    (path,) = (tmp_path / "bodies").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@given(st.lists(st.integers(1, len(CANARY) - 1), max_size=6, unique=True))
def test_secret_divided_among_events_does_not_survive(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(CANARY)]
    parts = [CANARY[start:end] for start, end in pairwise(places)]
    answer = copy_of(*events("The key is ", *parts, " of you."))
    found = BodyWriter()._masked(noted(b"{}", answer, is_stream=True))
    assert json.loads(found.answer) == {"text": "The key is [secret] of you.", "tools": [], "finish": "stop"}


@given(st.integers(1900, 2100), st.integers(0, MARGIN + 200))
def test_secret_at_a_cut_does_not_survive(before: int, after: int) -> None:
    request = b'{"a": "' + b"x " * (before // 2) + CANARY.encode() + b" y" * (after // 2) + b'"}'
    found = BodyWriter()._masked(noted(request, copy_of(request, most=CAPTURE.max_bytes + MARGIN)))
    for text in (found.request, found.answer):
        assert "canary" not in text
        assert "sk-c" not in text
        assert len(text.encode()) <= CAPTURE.max_bytes
    assert ("request" in found.cut) == (len(request) > CAPTURE.max_bytes)


def test_field_of_a_body_that_was_cut_is_masked() -> None:
    request = b'{"pin": "12\\"34", "PIN": {"a": [5678' + b" " * 9000
    found = BodyWriter()._masked(noted(request, copy_of()))
    assert "34" not in found.request
    assert "5678" not in found.request


def test_body_that_cannot_be_kept_is_told() -> None:
    writer = BodyWriter()
    found = writer._masked(noted(None, copy_of(b"\xff\xfb\x90sound"), request_bytes=9))
    assert (found.unread, found.request_bytes) == (("request", "answer"), 9)
    found = writer._masked(noted(b"{}", copy_of(b"data: {\n\n"), is_stream=True))
    assert (found.unread, found.answer) == (("answer",), "")
    found = writer._masked(noted(b"{}", copy_of(*events("a", "b")[:1], whole=False), is_stream=True))
    assert (found.cut, json.loads(found.answer)["text"]) == (("answer",), "a")
    found = writer._masked(noted(b"{}", copy_of(whole=False)))
    assert (found.answer, found.cut, found.unread) == ("", (), ())


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 5000)
    monkeypatch.setattr(module, "INTERVAL_S", 100.0)
    writer = BodyWriter(tmp_path)
    for _ in range(10):
        writer.put(noted(b"x" * 1000, copy_of(b"y" * 1000)))
    assert (writer.dropped, len(writer._pending)) == (8, 2)
    writer.close()
    assert (writer.kept, writer._bytes) == (2, 0)


def test_files_have_a_bound_and_the_first_failure_is_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 500)
    writer = BodyWriter(tmp_path)
    for _ in range(4):
        writer.put(noted(b"x" * 300, copy_of()))
        writer._write_all()
    writer.close()
    assert (writer.kept, writer.dropped) == (1, 3)
    assert caplog.text.count("control does not read the files in it") == 1
    assert len(list((tmp_path / "bodies").iterdir())) == 1


def test_folder_that_cannot_be_written_drops_bodies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bodies").write_text("a file")
    writer = BodyWriter(tmp_path)
    writer.put(noted(b"{}", copy_of()))
    writer.close()
    assert (writer.kept, writer.dropped) == (0, 1)
    assert "are dropped" in caplog.text
