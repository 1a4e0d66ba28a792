"""The token bucket behind retries."""

from pointsman.routing.retry_budget import CAPACITY, FLOOR_PER_S, PER_REQUEST, RetryBudget


def retries(seconds: int, requests_per_s: int, wanted_per_request: int, start: float = 100.0) -> int:
    """Count the retries if each request tries to make some, and checks the budget first."""
    budget = RetryBudget(updated_at=start)
    made = 0
    for number in range(seconds * requests_per_s):
        now = start + number / requests_per_s
        budget.earn()
        for _ in range(wanted_per_request):
            if budget.has_token(now):
                budget.spend()
                made += 1
    return made


def test_retries_are_a_fifth_of_heavy_traffic_plus_a_floor() -> None:
    for seconds, rate in ((60, 100), (10, 500), (300, 10)):
        made = retries(seconds, rate, 4)
        bound = PER_REQUEST * seconds * rate + FLOOR_PER_S * seconds
        assert 0.9 * bound < made <= bound + CAPACITY


def test_light_traffic_can_always_retry() -> None:
    budget = RetryBudget(updated_at=100.0)
    for second in range(200):
        assert budget.has_token(100.0 + second)
        budget.spend()


def test_tokens_never_exceed_the_capacity() -> None:
    for busy in (False, True):
        budget = RetryBudget(updated_at=0.0)
        for _ in range(10_000 if busy else 0):
            budget.earn()
        now, made = 10_000.0, 0
        while budget.has_token(now):
            budget.spend()
            made += 1
        assert made == CAPACITY


def test_tokens_are_never_negative() -> None:
    budget = RetryBudget(tokens=0.0, updated_at=100.0)
    budget.spend()
    assert not budget.has_token(100.0)
    assert budget.has_token(100.0 + 1 / FLOOR_PER_S)
