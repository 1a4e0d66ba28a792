"""The candidates of a call, as a virtual key has them."""

from fakes.routing import call, endpoint, provider_key, snapshot
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.targets import Candidate, Strategy, candidate
from pointsman.routing.candidates import find_candidates, limited_by
from pointsman.routing.router import router_of

A, B = endpoint("a", provider_key("prod"), provider_key("dev")), endpoint("b")
CHAT = snapshot([A, B], [candidate(A, "m", 3), candidate(A, "n", 1), candidate(B, "m")])


def candidates_for(**entries: ProviderEntry) -> tuple[list[Candidate], Strategy | None, str]:
    named = find_candidates(call(), CHAT, router_of(CHAT).resolve)
    assert isinstance(named, tuple)
    candidates, strategy, source = limited_by(VirtualKey(name="me", digest=b"", entries=entries), named)
    return list(candidates), strategy, source


def test_key_without_weights_keeps_weights_and_strategy() -> None:
    candidates, strategy, source = candidates_for(a=ProviderEntry("a"))
    assert candidates == list(CHAT.models["chat"].targets)
    assert (strategy, source) == (None, "virtual key me, model chat")


def test_targets_at_a_provider_share_the_weight_set_by_a_key() -> None:
    candidates, strategy, _ = candidates_for(a=ProviderEntry("a", 0.8), b=ProviderEntry("b", 0.2))
    assert [round(item.weight, 6) for item in candidates] == [0.6, 0.2, 0.2]
    assert strategy == Strategy("weighted")


def test_key_has_only_the_provider_keys_that_it_may_use() -> None:
    candidates, _, _ = candidates_for(a=ProviderEntry("a", keys=frozenset({"dev"})))
    assert [[key.name for key in item.keys] for item in candidates] == [["dev"], ["dev"], ["k1"]]
