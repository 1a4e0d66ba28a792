"""Requirements, and the tags that meet them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.requirements import (
    Requirement,
    Tag,
    is_met,
    merged,
    next_expiry,
    shortcoming,
    statements,
)

DAY_S = 86_400.0
EU = Requirement("region", ("eu", "uk"), origin="a test")
BOTH = Requirement("certifications", ("hipaa", "soc2"), needs_all=True, origin="a test")


def tags(*values: str, expires_at: float | None = None) -> tuple[Tag, ...]:
    return tuple(Tag(value, expires_at=expires_at) for value in values)


@pytest.mark.parametrize(
    ("requirement", "values", "meets"),
    [
        (EU, (), False),
        (EU, ("us",), False),
        (EU, ("us", "uk"), True),
        (EU, ("EU",), False),
        (BOTH, ("hipaa",), False),
        (BOTH, ("soc2", "hipaa", "iso"), True),
    ],
)
def test_values_are_one_of_or_all(requirement: Requirement, values: tuple[str, ...], meets: bool) -> None:
    assert is_met(requirement, [tags(*values)], 0.0) == meets


def test_an_expired_value_is_missing() -> None:
    stated = [tags("eu", expires_at=DAY_S)]
    assert is_met(EU, stated, DAY_S - 1)
    assert not is_met(EU, stated, DAY_S)
    assert next_expiry(stated, 0.0) == DAY_S
    assert next_expiry(stated, DAY_S) is None
    assert shortcoming(EU, stated, DAY_S) == "its region=eu expired on 1970-01-02"


def test_key_and_target_replace_the_provider_and_must_both_meet() -> None:
    eu, us = {"region": tags("eu")}, {"region": tags("us")}
    assert statements("region", us, {}, {}) == [tags("us")]
    assert statements("region", us, eu, {}) == [tags("eu")]
    assert statements("region", us, {}, eu) == [tags("eu")]
    assert not is_met(EU, statements("region", eu, us, eu), 0.0)
    assert statements("region", {}, {}, {}) == [()]


def test_shortcomings_are_in_words() -> None:
    assert shortcoming(EU, [()], 0.0) == "it has no tag region"
    assert shortcoming(EU, [tags("us", "ap")], 0.0) == "its region is us, ap"
    assert (str(EU), str(BOTH)) == ("region=eu|uk", "certifications=hipaa+soc2")


VALUES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
REQUIREMENTS = st.builds(Requirement, st.just("t"), VALUES.map(tuple), st.booleans())
STATED = st.lists(
    st.lists(st.builds(Tag, st.sampled_from("abc"), st.just(""), st.sampled_from([None, 5.0, 10.0])), max_size=3).map(
        tuple
    ),
    min_size=1,
    max_size=2,
)


@given(
    st.lists(REQUIREMENTS, max_size=4), st.lists(REQUIREMENTS, max_size=4), STATED, st.sampled_from([0.0, 5.0, 10.0])
)
def test_merging_narrows_and_time_only_removes(
    some: list[Requirement], more: list[Requirement], stated: list[tuple[Tag, ...]], now: float
) -> None:
    def meets(requirements: tuple[Requirement, ...], at: float) -> bool:
        return all(is_met(one, stated, at) for one in requirements)

    both = merged(some, more)
    assert meets(both, now) == (meets(tuple(some), now) and meets(tuple(more), now))
    if not meets(both, now):
        assert not meets(both, now + 5)
    until = next_expiry(stated, now)
    if until is not None:
        assert meets(both, now) == meets(both, until - 1e-6)
