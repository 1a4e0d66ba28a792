"""Times and failures of simulated attempts."""

from math import inf
from statistics import fmean

import pytest

from pointsman.domain import failures
from pointsman.simulate.worlds.physics import NORMAL, Outcome, Route, Service
from pointsman.simulate.worlds.world import Arrival, Fault, Key, Provider

REQUEST = Arrival(0.0, 1000, 100)
PLAIN = Provider(name="p", first_s=0.3, prompt_token_s=1e-4, token_s=0.01, errors=0.0, tail=0.0)


def route(*faults: Fault, spec: Provider = PLAIN) -> Route:
    return Service(spec, faults, 0).routes[0]


def course(at: float = 0.0, seed: int = 1, *faults: Fault, spec: Provider = PLAIN) -> Outcome:
    return route(*faults, spec=spec).attempt(at, REQUEST, seed)


def test_mean_time_is_that_of_the_provider() -> None:
    times = [course(seed=seed).content_at for seed in range(4000)]
    assert fmean(times) == pytest.approx(0.4, rel=0.03)
    found = [course(seed=seed) for seed in range(500)]
    assert fmean(one.ends_at - one.content_at for one in found) == pytest.approx(1.0, rel=0.05)


def test_same_seed_gives_the_same_course() -> None:
    assert course(seed=7) == course(seed=7)
    assert course(seed=7) != course(seed=8)


def test_share_of_attempts_is_in_the_tail() -> None:
    spec = Provider(name="p", first_s=0.3, prompt_token_s=0.0, errors=0.0, tail=0.2, sigma=0.01)
    slow = [found > 0.6 for seed in range(3000) if (found := course(seed=seed, spec=spec).content_at)]
    assert fmean(slow) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(refuses=True, since=0), failures.UPSTREAM_OVERLOADED),
        (Fault(revoked=True, since=0), failures.CREDENTIAL_REJECTED),
        (Fault(errors=1.0, since=0), failures.UPSTREAM_ERROR),
    ],
)
def test_fault_fails_attempts_soon(fault: Fault, kind: failures.Kind) -> None:
    found = course(1.0, 1, fault)
    assert found.failure is not None
    assert found.failure.kind is kind
    assert 1.0 < found.content_at < 2.0


def test_hanging_provider_never_answers() -> None:
    assert course(1.0, 1, Fault(hangs=True, since=0)) == Outcome(inf, inf, None)


def test_slow_tokens_leave_the_first_content_alone() -> None:
    usual, slow = course(1.0, 3), course(1.0, 3, Fault(tokens=6.0, since=0))
    assert slow.content_at == usual.content_at
    assert slow.ends_at - slow.content_at == pytest.approx(6 * (usual.ends_at - usual.content_at))


def test_attempts_slow_down_beyond_sixty_percent_of_the_concurrency() -> None:
    service = Service(Provider(name="p", first_s=0.3, concurrency=10), (), 0)
    service.running = 6
    assert service.slowdown() == 1.0
    assert service.slowdown(1) > 1.0
    service.running = 10
    assert service.slowdown() == pytest.approx(1 + 4 * 0.16 + 1.5 * 0.4)


def test_request_beyond_the_limit_is_rejected_with_the_time_to_wait() -> None:
    spec = Provider(name="p", first_s=0.3, keys=(Key("k", requests=6.0),), errors=0.0)
    found = route(spec=spec)
    assert found.attempt(0.0, REQUEST, 1).failure is None
    limited = found.attempt(0.0, REQUEST, 2).failure
    assert limited is not None
    assert limited.kind is failures.UPSTREAM_RATE_LIMITED
    assert limited.retry_after_s == pytest.approx(10.0)
    assert found.wait_s(5.0, REQUEST) == pytest.approx(5.0)


@pytest.mark.parametrize(("headers", "after_s"), [("absent", None), ("lying", 1.0)])
def test_providers_may_hide_how_long_to_wait(headers: str, after_s: float | None) -> None:
    fault = Fault(since=0, headers=headers)  # type: ignore[arg-type]
    found = route(fault, spec=Provider(name="p", first_s=0.3, keys=(Key("k", requests=6.0),)))
    found.attempt(0.0, REQUEST, 1)
    limited = found.attempt(0.0, REQUEST, 2).failure
    assert limited is not None
    assert limited.retry_after_s == after_s


def test_faults_of_one_key_spare_the_others() -> None:
    spec = Provider(name="p", first_s=0.3, keys=(Key("a"), Key("b")))
    first, second = Service(spec, (Fault(key="a", revoked=True, since=0),), 0).routes
    assert first.present(1.0).is_dead
    assert second.present(1.0) is NORMAL


def test_faults_at_once_multiply() -> None:
    both = (Fault(since=0, factor=2.0, errors=0.5), Fault(since=0, factor=3.0, errors=0.5, price=4.0))
    present = route(*both).present(1.0)
    assert (present.factor, present.errors, present.price) == (6.0, 0.75, 4.0)


def test_bill_has_the_present_prices() -> None:
    dear = route(Fault(price=4.0, since=10.0), spec=Provider(name="p", first_s=0.3, usd_in=2.0, usd_out=10.0))
    assert dear.dollars(0.0, 1000, 100) == pytest.approx(0.003)
    assert dear.dollars(11.0, 1000, 100) == pytest.approx(0.012)


def test_weight_of_a_provider_is_divided_among_its_keys() -> None:
    spec = Provider(name="p", first_s=0.3, weight=3.0, keys=(Key("a", weight=2.0), Key("b", weight=1.0)))
    assert [one.weight for one in Service(spec, (), 0).routes] == [2.0, 1.0]
