"""The candidates of a call, as a virtual key has them."""

from fakes.routing import call, endpoint, provider_key, snapshot
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.targets import Candidate, Strategy, candidate
from pointsman.routing.candidates import find_candidates, limited_by
from pointsman.routing.router import router_of

A, B = endpoint("a", provider_key("prod"), provider_key("dev")), endpoint("b")
CHAT = snapshot([A, B], [candidate(A, "m", 3), candidate(A, "n", 1), candidate(B, "m")])


def had_by(**entries: ProviderEntry) -> tuple[list[Candidate], Strategy | None, str]:
    named = find_candidates(call(), CHAT, router_of(CHAT).resolve)
    assert isinstance(named, tuple)
    candidates, strategy, source = limited_by(VirtualKey(name="me", digest=b"", entries=entries), named)
    return list(candidates), strategy, source


def test_a_key_that_states_no_weights_leaves_weights_and_strategy_as_they_are() -> None:
    candidates, strategy, source = had_by(a=ProviderEntry("a"))
    assert candidates == list(CHAT.models["chat"].targets)
    assert (strategy, source) == (None, "virtual key me, model chat")


def test_the_targets_at_a_provider_share_the_weight_that_a_key_gives_it() -> None:
    candidates, strategy, _ = had_by(a=ProviderEntry("a", 0.8), b=ProviderEntry("b", 0.2))
    assert [round(item.weight, 6) for item in candidates] == [0.6, 0.2, 0.2]
    assert strategy == Strategy("weighted")


def test_a_key_has_only_the_provider_keys_that_it_may_use() -> None:
    candidates, _, _ = had_by(a=ProviderEntry("a", keys=frozenset({"dev"})))
    assert [[key.name for key in item.keys] for item in candidates] == [["dev"], ["dev"], ["k1"]]
