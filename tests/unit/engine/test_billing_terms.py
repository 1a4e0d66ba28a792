"""Terms are worked out once for each snapshot, key and candidate."""

import pytest

from fakes.money import PLAIN
from pointsman.domain.targets import candidate
from pointsman.engine import billing_terms as module
from unit.engine.test_billing import ALPHA, BUDGET, Scene, configured


def test_tabs_are_made_once_and_anew_with_every_snapshot() -> None:
    scene = Scene(configured(BUDGET))
    billing = scene.billing
    assert billing.billing_terms.find(scene.live.snapshot, scene.key, ALPHA) is scene.tab
    scene.live.swap(configured(BUDGET, price=False))
    after = billing.billing_terms.find(scene.live.snapshot, scene.key, ALPHA)
    assert after.terms.price is None
    assert after.scope.number != scene.tab.scope.number, "what stands in the journal under a number never changes"


def test_the_terms_of_a_request_stay_those_it_was_admitted_under() -> None:
    scene = Scene(configured(BUDGET))
    before = scene.live.snapshot
    scene.live.swap(configured(BUDGET, price=False))
    after = scene.billing.billing_terms.find(scene.live.snapshot, scene.key, ALPHA)
    assert scene.billing.billing_terms.find(before, scene.key, ALPHA).terms.price == PLAIN
    assert scene.billing.billing_terms.find(scene.live.snapshot, scene.key, ALPHA) is after, (
        "the present terms stay at hand"
    )


def test_tabs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TABS", 3)
    scene = Scene(configured(BUDGET))
    numbers = {
        scene.billing.billing_terms.find(
            scene.live.snapshot, scene.key, candidate(ALPHA.endpoint, f"m{one}")
        ).scope.number
        for one in range(20)
    }
    assert len(numbers) == 20
    assert len(scene.billing.billing_terms._billing_terms.of(scene.live.snapshot)) <= 4
