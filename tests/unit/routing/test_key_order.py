"""The order of a provider's keys by what is known of them."""

from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from fakes.routing import endpoint, provider_key
from pointsman.domain.calls import Prefix
from pointsman.domain.targets import Candidate, candidate
from pointsman.routing import key_order as module
from pointsman.routing.key_order import KeyNotes, KeyOrder, KeyStates
from pointsman.routing.prefixes import Prefixes, domain_of

NOW = 100.0
BLOCKS = tuple(range(1000, 1010))


class Keys:
    """A provider with two keys, by default of equal weights."""

    def __init__(self, *weights: float) -> None:
        keys = [provider_key(f"k{number}", weight) for number, weight in enumerate(weights or (1.0, 1.0), 1)]
        self.item: Candidate = candidate(endpoint("a", *keys), "m")
        self.order = KeyOrder(self.item)
        self.states, self.prefixes, self.rng = KeyStates(), Prefixes(), Random(3)

    def first(self, prefix: Prefix | None = None, now: float = NOW) -> str:
        return self.order.order(self.states, self.prefixes, prefix, self.rng.random, now)[0].key.name

    def shares(self, count: int = 2000, now: float = NOW) -> list[float]:
        found = Counter(self.first(now=now) for _ in range(count))
        return [found[key.name] / count for key in self.item.keys]

    def end(self, name: str, count: int, now: float = NOW, *, failed: bool | None) -> None:
        for _ in range(count):
            self.states.begin(("a", name))
            self.states.end(("a", name), now, failed=failed)


def test_unknown_keys_are_drawn_by_their_weights() -> None:
    assert Keys(80.0, 20.0).shares()[0] == pytest.approx(0.8, abs=0.04)
    assert Keys(1.0, 1.0, 2.0).shares() == pytest.approx([0.25, 0.25, 0.5], abs=0.05)


def test_weights_hold_for_keys_that_serve_well() -> None:
    keys = Keys(80.0, 20.0)
    keys.end("k1", 100, failed=False)
    keys.end("k2", 25, failed=False)
    assert keys.shares()[0] == pytest.approx(0.8, abs=0.04)


def test_key_that_fails_gets_fewer_requests_until_its_failures_are_old() -> None:
    keys = Keys()
    keys.end("k1", 10, failed=True)
    keys.end("k2", 10, failed=False)
    assert keys.shares()[0] < 0.15
    assert keys.shares(now=NOW + 10 * module.MEMORY_S)[0] == pytest.approx(0.5, abs=0.05)


def test_all_keys_that_fail_share_the_requests_by_weight() -> None:
    keys = Keys(80.0, 20.0)
    for name in ("k1", "k2"):
        keys.end(name, 30, failed=True)
    assert keys.shares()[0] == pytest.approx(0.8, abs=0.05)


def test_key_with_more_attempts_in_progress_than_its_part_gets_fewer() -> None:
    keys = Keys()
    for _ in range(20):
        keys.states.begin(("a", "k1"))
    assert keys.shares()[0] < 0.4
    for _ in range(20):
        keys.states.begin(("a", "k2"))
    assert keys.shares()[0] == pytest.approx(0.5, abs=0.05)


def test_ends_that_say_nothing_about_a_key_are_not_counted() -> None:
    keys = Keys()
    keys.end("k1", 30, failed=None)
    assert keys.shares()[0] == pytest.approx(0.5, abs=0.05)
    keys.states.end(("a", "never begun"), NOW, failed=True)
    assert keys.states.find(("a", "never begun")) is None


def test_key_whose_cache_has_the_prompt_comes_first_while_it_is_well() -> None:
    keys = Keys(99.0, 1.0)
    prefix = Prefix(BLOCKS, 7)
    keys.prefixes.note(domain_of(keys.item, keys.item.keys[1]), BLOCKS, NOW)
    assert {keys.first(prefix) for _ in range(50)} == {"k2"}
    keys.end("k2", 20, failed=True)
    assert {keys.first(prefix) for _ in range(50)} == {"k1"}


def test_one_block_is_too_little_to_prefer_a_key() -> None:
    keys = Keys()
    keys.prefixes.note(domain_of(keys.item, keys.item.keys[1]), BLOCKS[:1], NOW)
    found = {keys.first(Prefix(BLOCKS, group * 2_654_435_761 % 2**32)) for group in range(1, 50)}
    assert found == {"k1", "k2"}


def test_prompts_of_a_group_use_the_same_key_in_each_worker() -> None:
    firsts = Counter[str]()
    for number in range(1, 1000):
        prefix = Prefix(BLOCKS, number * 2_654_435_761 % 2**32)
        found = {Keys(80.0, 20.0).first(prefix) for _ in range(2)}
        assert len(found) == 1
        firsts.update(found)
    assert firsts["k1"] / 999 == pytest.approx(0.8, abs=0.05)


def test_number_of_known_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 3)
    states = KeyStates()
    for number in range(10):
        states.begin(("a", str(number)))
    assert states.find(("a", "9")) is not None
    assert states.find(("a", "0")) is None


def test_notes_have_the_terms_of_each_key() -> None:
    keys = Keys(80.0, 20.0)
    keys.end("k1", 10, failed=True)
    keys.prefixes.note(domain_of(keys.item, keys.item.keys[1]), BLOCKS, NOW)
    ranked = keys.order.order(keys.states, keys.prefixes, Prefix(BLOCKS, 7), keys.rng.random, NOW)
    first, keyed = KeyNotes(("first",), ((keys.item, ranked),))
    assert first == "first"
    assert keyed == (
        "keys of a/m: k2 (weight 20, 5120 tokens of the prompt probably cached), "
        "k1 (weight 80, 84 % failures, 0 in progress)"
    )


def test_key_of_weight_zero_among_others_comes_last() -> None:
    keys = Keys()
    drained = replace(keys.item, keys=(replace(keys.item.keys[0], weight=0.0), keys.item.keys[1]))
    order = KeyOrder(drained)
    firsts = {order.order(keys.states, keys.prefixes, None, keys.rng.random, NOW)[0].key.name for _ in range(200)}
    assert firsts == {"k2"}
