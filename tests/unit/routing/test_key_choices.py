"""Candidates with their keys in the order of use."""

from random import Random

from fakes.routing import NOW, ScriptedRandom, call, endpoint, provider_key
from pointsman.domain.targets import candidate
from pointsman.routing.key_choices import KeyChoices
from pointsman.routing.ordering import Ordered
from pointsman.routing.paces import Paces

ONE = candidate(endpoint("a", "only"), "m")
TWO = candidate(endpoint("b", provider_key("k1", 3.0), provider_key("k2", 1.0)), "m")


def test_keys_are_drawn_by_their_weights() -> None:
    keys = KeyChoices([ONE, TWO], learns=False)
    assert keys.has_several
    assert not KeyChoices([ONE], learns=True).has_several
    assert [key.name for key in keys.drawn(ONE, call(), ScriptedRandom(0.0)).keys] == ["only"]
    for number, names in ((0.74, ["k1", "k2"]), (0.76, ["k2", "k1"])):
        assert [key.name for key in keys.drawn(TWO, call(), ScriptedRandom(number)).keys] == names


def test_objects_of_an_account_are_requested_with_the_heaviest_key() -> None:
    keys = KeyChoices([TWO], learns=False)
    assert [key.name for key in keys.drawn(TWO, call(stateful=True), ScriptedRandom(0.99)).keys] == ["k1"]


def test_learned_order_avoids_the_key_that_fails_and_says_so() -> None:
    keys, paces, rng = KeyChoices([ONE, TWO], learns=True), Paces(), Random(1)
    for _ in range(20):
        paces.keys.begin(("b", "k1"))
        paces.keys.end(("b", "k1"), NOW, failed=True)
    firsts = []
    for _ in range(100):
        choices, ordered = keys.learned([ONE, TWO], Ordered((ONE, TWO), ("a note",)), paces, rng, NOW)
        assert [choice.candidate for choice in choices] == [ONE, TWO]
        assert [key.name for key in choices[0].keys] == ["only"]
        assert {key.name for key in choices[1].keys} == {"k1", "k2"}
        firsts.append(choices[1].keys[0].name)
        first, of_keys = ordered.notes
        assert first == "a note"
        assert "% failures" in of_keys
    assert firsts.count("k2") > 80
