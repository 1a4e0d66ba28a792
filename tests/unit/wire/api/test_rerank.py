"""Rankings: the searches that they cost."""

import pytest

from fakes.wire import parse, rejected
from pointsman.domain.units import Units
from pointsman.wire.tokens import most_in


@pytest.mark.parametrize(("count", "searches"), [(1, 1), (100, 1), (101, 2), (250, 3)])
def test_each_hundred_short_documents_are_one_search(count: int, searches: int) -> None:
    call = parse({"model": "m", "query": "q", "documents": ["d"] * count}, "/rerank")
    assert call.units == Units("search", searches * 1000)


def test_long_documents_count_as_several() -> None:
    units = parse({"model": "m", "query": "q", "documents": ["d" * 4000] * 50}, "/rerank").units
    assert units == Units("search", 9000, 2000)


@pytest.mark.parametrize("body", [{"text_1": "a", "text_2": "b"}, {"query": "q", "documents": {"content": []}}])
def test_other_rankings_have_no_searches(body: dict[str, object]) -> None:
    assert parse({"model": "m", **body}, "/score").units is None


def test_tokens_of_the_query_count_for_each_document() -> None:
    one = parse({"model": "m", "query": "q" * 100, "documents": ["d"]}, "/rerank")
    many = parse({"model": "m", "query": "q" * 100, "documents": ["d"] * 10}, "/rerank")
    assert most_in(many) - most_in(one) >= 900


def test_variants_of_fields_are_rejected() -> None:
    assert rejected(lambda: parse({"model": "m", "Documents": []}, "/rerank")).param == "Documents"
