"""Billing terms are computed once for each snapshot, key and candidate."""

import pytest
from msgspec.structs import replace

from fakes.batches import WORK
from fakes.money import PLAIN, make_call
from pointsman.domain.targets import candidate
from pointsman.domain.verdicts import Reason
from pointsman.engine import billing_terms as module
from unit.engine.test_billing import ALPHA, BUDGET, Scene, configured


def test_billing_terms_are_computed_once_for_each_snapshot() -> None:
    scene = Scene(configured(BUDGET))
    billing = scene.billing
    assert billing.terms_cache.find(scene.live.snapshot, scene.key, ALPHA) is scene.billing_terms
    scene.live.swap(configured(BUDGET, price=False))
    after = billing.terms_cache.find(scene.live.snapshot, scene.key, ALPHA)
    assert after.terms.price is None
    assert after.scope.number != scene.billing_terms.scope.number, (
        "what stands in the journal under a number never changes"
    )


def test_request_keeps_the_terms_it_was_admitted_under() -> None:
    scene = Scene(configured(BUDGET))
    before = scene.live.snapshot
    scene.live.swap(configured(BUDGET, price=False))
    after = scene.billing.terms_cache.find(scene.live.snapshot, scene.key, ALPHA)
    assert scene.billing.terms_cache.find(before, scene.key, ALPHA).terms.price == PLAIN
    assert scene.billing.terms_cache.find(scene.live.snapshot, scene.key, ALPHA) is after, (
        "the present terms stay at hand"
    )


def test_number_of_billing_terms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TERMS", 3)
    scene = Scene(configured(BUDGET))
    numbers = {
        scene.billing.terms_cache.find(
            scene.live.snapshot, scene.key, candidate(ALPHA.endpoint, f"m{one}")
        ).scope.number
        for one in range(20)
    }
    assert len(numbers) == 20
    assert len(scene.billing.terms_cache._known.of(scene.live.snapshot)) <= 4


def test_batch_that_control_cannot_follow_names_the_credentials() -> None:
    batch = replace(make_call("batch"), batch=replace(WORK, is_followed=False))
    found = Scene(configured(BUDGET)).billing_terms.bounded(batch)
    assert isinstance(found, Reason)
    assert "gets its credentials from a service" in found.message
    found = Scene(configured()).billing_terms.bounded(batch)
    assert not isinstance(found, Reason)
    assert found[0].batch is None, "without a budget it is passed on like any call of unknown cost"
