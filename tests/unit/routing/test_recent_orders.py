"""Orders are reused for similar requests under heavy traffic, and only then."""

from random import Random
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import FakeView, call, endpoint, plan_for, snapshot_of
from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import Ordered, Probe
from pointsman.routing.paces import KEPT, KEPT_S
from pointsman.routing.recent_orders import HEAVY_S, reusing
from pointsman.wire.prefixes import LEAST_BYTES

CALL = replace(call(), stream=True, size=400)
SNAPSHOT = snapshot_of(endpoint("a"), endpoint("b"))
ITEMS = tuple(choice.candidate for choice in plan_for(CALL, FakeView(SNAPSHOT)).choices)


class Counting:
    """An order that counts its computations. Every other one begins with the second candidate."""

    def __init__(self, probe: Probe | None = None) -> None:
        self.count = 0
        self._probe = probe

    def order(self, facts: Facts, view: Any, rng: Any, now: float) -> Ordered:
        self.count += 1
        items: tuple[Candidate, ...] = ITEMS if self.count % 2 else ITEMS[::-1]
        return Ordered(items, (f"order {self.count}",), probe=self._probe)


def busy(gap_s: float) -> FakeView:
    """Return a view whose requests come at this pace."""
    view = FakeView(SNAPSHOT)
    for number in range(300):
        view.paces._arrive(CALL.model, number * gap_s)
    return view


def ordered(counting: Counting, view: FakeView, count: int = 100, **fields: Any) -> list[Ordered]:
    order, request = reusing(ITEMS, "settings", counting.order), replace(CALL, **fields)
    return [order(Facts(request), view, Random(number), 100.0) for number in range(count)]


def test_every_request_has_its_own_order_at_a_usual_rate() -> None:
    counting = Counting()
    ordered(counting, busy(2 * HEAVY_S))
    assert counting.count == 100


def test_similar_requests_share_a_few_orders_under_heavy_traffic() -> None:
    counting = Counting()
    found = ordered(counting, busy(HEAVY_S / 10))
    assert counting.count == KEPT
    first = [one.candidates[0] for one in found]
    assert 25 <= first.count(ITEMS[0]) <= 75, "all of the latest orders are used"
    assert list(found[0].notes) == ["order 1"]
    heading, note = found[-1].notes
    assert heading.startswith("heavy traffic")
    assert note.startswith("order ")


def test_order_is_not_reused_for_long() -> None:
    counting, view = Counting(), busy(HEAVY_S / 10)
    order = reusing(ITEMS, "settings", counting.order)
    for number in range(1000):
        order(Facts(CALL), view, Random(number), 100.0 + number * KEPT_S / 50)
    assert 60 <= counting.count <= 200


@pytest.mark.parametrize(
    "fields",
    [
        {"head": replace(CALL.head, session="s-1")},
        {"size": LEAST_BYTES},
        {"fields": {"service_tier": Raw(b'"flex"')}},
        {"fields": {"tools": Raw(b"[]")}},
        {"fields": {"prompt_cache_key": Raw(b'"k"')}},
    ],
)
def test_single_request_is_never_taken_for_another(fields: dict[str, Any]) -> None:
    counting = Counting()
    ordered(counting, busy(HEAVY_S / 10), **fields)
    assert counting.count == 100


def test_requests_of_other_sizes_and_bounds_have_other_orders() -> None:
    counting, view = Counting(), busy(HEAVY_S / 10)
    for fields in ({}, {"size": 3000}, {"max_tokens": 10}, {"stream": False}, {"operation": "embedding"}):
        ordered(counting, view, **fields)
    assert counting.count == 5 * KEPT


def test_order_of_a_probe_is_for_its_request_alone() -> None:
    counting = Counting(Probe("a/m", 1.0))
    ordered(counting, busy(HEAVY_S / 10))
    assert counting.count == 100


def test_changed_configuration_forgets_the_orders() -> None:
    counting, view = Counting(), busy(HEAVY_S / 10)
    ordered(counting, view)
    view.paces.keep(["a", "b"])
    ordered(counting, view)
    assert counting.count == 2 * KEPT


def test_single_candidate_needs_no_reuse() -> None:
    counting = Counting()
    assert reusing(ITEMS[:1], "settings", counting.order) == counting.order
