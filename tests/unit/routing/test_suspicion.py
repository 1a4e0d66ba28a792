"""The gateway suspects itself if most providers fail together and none answers."""

import pytest

from pointsman.routing.suspicion import FEWEST, FREEZE_S, WINDOW_S, Suspicion

NOW = 1000.0


def trips(providers: str, *, in_use: int, served_at: float = 0.0, gap_s: float = 0.1) -> bool:
    suspicion = Suspicion()
    found = False
    for number, provider in enumerate(providers):
        at = NOW + number * gap_s
        found = suspicion.note_trip(provider, at, at - 0.5, in_use=in_use, served_at=served_at)
    return found


@pytest.mark.parametrize(
    ("providers", "in_use", "is_suspicious"),
    [
        ("a", 1, False),
        ("ab", 2, False),
        ("a", 3, False),
        ("ab", 3, True),
        ("ab", 4, False),
        ("abc", 4, True),
        ("aaaa", 5, False),
    ],
)
def test_most_of_at_least_three_providers_must_fail(providers: str, in_use: int, is_suspicious: bool) -> None:
    assert trips(providers, in_use=in_use) is is_suspicious


def test_provider_that_answers_proves_that_the_gateway_is_well() -> None:
    assert trips("ab", in_use=FEWEST, served_at=NOW - 0.6)
    assert not trips("ab", in_use=FEWEST, served_at=NOW - 0.4)


def test_breakers_that_open_one_after_the_other_are_no_reason() -> None:
    assert trips("ab", in_use=FEWEST, gap_s=WINDOW_S - 0.1)
    assert not trips("ab", in_use=FEWEST, gap_s=WINDOW_S + 0.1)


def test_suspicion_ends_by_itself_and_is_renewed_while_all_fail() -> None:
    suspicion = Suspicion()
    for provider in "ab":
        suspicion.note_trip(provider, NOW, NOW - 1, in_use=3, served_at=0.0)
    assert suspicion.until == NOW + FREEZE_S
    assert suspicion.providers == ["a", "b"]
    assert suspicion.note_trip("c", NOW + 4, NOW - 1, in_use=3, served_at=0.0)
    assert suspicion.until == NOW + 4 + FREEZE_S
    assert not suspicion.note_trip("a", NOW + 60, NOW + 59, in_use=3, served_at=NOW + 58), "only one fails now"
