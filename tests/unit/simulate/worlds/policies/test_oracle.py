"""The oracle knows the present, and not the next draw."""

from random import Random

import pytest

from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.oracle import CUT, Oracle
from pointsman.simulate.worlds.world import Arrival, Fault, Key, Provider

REQUEST = Arrival(0.0, 1000, 100)
FAST = Provider(name="fast", first_s=0.3, errors=0.0)
SLOW = Provider(name="slow", first_s=0.5, errors=0.0)


def oracle(*faults: Fault, first: Provider = FAST, second: Provider = SLOW) -> Oracle:
    return Oracle([Service(one, faults, place).routes[0] for place, one in enumerate((first, second))], Random(1))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(provider="fast", factor=4.0, since=10.0, until=20.0),
        Fault(provider="fast", errors=0.9, since=10.0, until=20.0),
        Fault(provider="fast", refuses=True, since=10.0, until=20.0),
        Fault(provider="fast", hangs=True, since=10.0, until=20.0),
        Fault(provider="fast", limits=0.0, since=10.0, until=20.0),
    ],
)
def test_fault_is_known_at_once(fault: Fault) -> None:
    found = oracle(fault, first=Provider(name="fast", first_s=0.3, errors=0.0, keys=(Key("k", requests=600.0),)))
    assert [found.rank(REQUEST, at)[0] for at in (9.99, 10.0, 19.99, 25.0)] == [0, 1, 1, 0]


def test_load_of_a_small_engine_counts() -> None:
    found = oracle(first=Provider(name="fast", first_s=0.3, concurrency=8, errors=0.0))
    assert found.rank(REQUEST, 0.0) == [0, 1]
    found.routes[0].service.running = 8
    assert found.rank(REQUEST, 0.0) == [1, 0]


def test_request_waits_until_a_limit_admits_it() -> None:
    limited = [Provider(name=name, first_s=0.3, keys=(Key("k", requests=300.0),)) for name in ("a", "b")]
    found = oracle(first=limited[0], second=limited[1])
    assert found.wait_s(REQUEST, 0.0) == 0.0
    for route in found.routes:
        for _ in range(50):
            route.limiter.take(1)
    assert found.wait_s(REQUEST, 0.0) == pytest.approx(0.2)


def test_attempt_in_the_tail_is_cut_off_if_another_route_is_quick_enough() -> None:
    found = oracle()
    limits = found.patience(REQUEST, 0.0, [0, 1])
    assert limits == {0: pytest.approx(CUT * found.index(found.routes[0], REQUEST, 0.0))}
    alone = oracle(second=Provider(name="slow", first_s=5.0))
    assert alone.patience(REQUEST, 0.0, [0, 1]) == {}


def test_costs_count_if_dollars_are_worth_time() -> None:
    found = oracle(first=Provider(name="fast", first_s=0.3, usd_in=50.0))
    assert found.rank(REQUEST, 0.0) == [0, 1]
    found.usd_s = 100.0
    assert found.rank(REQUEST, 0.0) == [1, 0]


def test_whole_answer_counts_with_its_tokens() -> None:
    found = oracle(first=Provider(name="fast", first_s=0.3, token_s=0.1), second=SLOW)
    assert found.rank(Arrival(0.0, 1000, 100, stream=False), 0.0) == [1, 0]
