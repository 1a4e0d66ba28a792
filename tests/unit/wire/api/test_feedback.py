"""The score that a client gives to a request."""

import json
from typing import Any

import pytest

from fakes.wire import rejected
from pointsman.domain import failures
from pointsman.domain.records import Feedback
from pointsman.wire.api.feedback import MAX_BODY_BYTES, parse_feedback

ID = "01939999-0000-7000-8000-0123456789ab"


def body(**fields: Any) -> bytes:
    return json.dumps({"request_id": ID, "score": 1, **fields}).encode()


@pytest.mark.parametrize(("score", "expected"), [("up", 1.0), ("down", 0.0), (0, 0.0), (0.25, 0.25), (1, 1.0)])
def test_score_is_a_number_or_a_thumb(score: object, expected: float) -> None:
    assert parse_feedback(body(score=score)) == Feedback(request_id=ID, score=expected)


def test_comment_is_kept() -> None:
    assert parse_feedback(body(comment="fine")).comment == "fine"
    assert parse_feedback(body(comment=None)).comment == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"score": 1.01}, "score must be a number from 0 to 1, or `up` or `down`"),
        ({"score": -1}, "score must be a number from 0 to 1, or `up` or `down`"),
        ({"score": "good"}, "score must be a number from 0 to 1, or `up` or `down`"),
        ({"score": None}, "the body is no score: "),
        ({"request_id": "chatcmpl-1"}, "request_id must be the value of x-pointsman-request-id in an earlier answer"),
        ({"comment": "x" * 1001}, "comment has more than 1000 characters"),
        ({"rating": 1}, "the body is no score: "),
    ],
)
def test_faulty_scores_are_rejected(fields: dict[str, object], message: str) -> None:
    failure = rejected(lambda: parse_feedback(body(**fields)))
    assert failure.kind is failures.INVALID_REQUEST
    assert failure.message.startswith(message)


def test_unreadable_and_long_bodies_are_rejected() -> None:
    for text in (b"", b"[]", b"{", b'{"score":1,"score":0}'):
        assert rejected(lambda text=text: parse_feedback(text)).kind.status == 400  # type: ignore[misc]
    assert rejected(lambda: parse_feedback(b" " * (MAX_BODY_BYTES + 1))).kind is failures.REQUEST_TOO_LARGE
