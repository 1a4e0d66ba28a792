"""Decisions on requests that are not sent."""

from msgspec import Struct


class ExplainInquiry(Struct, frozen=True, tag="explain"):
    """Answered by one `Explained`. `question` is an `engine.questions.Question` in JSON."""

    question: bytes


class Explained(Struct, frozen=True):
    """A decision in JSON and as lines of text, or the reason why the question cannot be answered."""

    decision: bytes
    lines: list[str] = []
    problem: str | None = None
