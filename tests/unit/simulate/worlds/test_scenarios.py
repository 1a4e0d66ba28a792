"""The curated scenarios."""

from pointsman.simulate.worlds.scenarios import BEST, FLEET, SCENARIOS


def test_faults_concern_known_providers_and_keys() -> None:
    keys = {one.name: {key.name for key in one.keys} for one in FLEET}
    for scenario in SCENARIOS.values():
        for fault in scenario.faults:
            assert not fault.provider or fault.provider in keys
            assert not fault.key or fault.key in keys[fault.provider]
            assert fault.until < scenario.duration_s


def test_best_provider_has_two_of_five_keys() -> None:
    assert [len(one.keys) for one in FLEET if one.name == BEST] == [2]
    assert sum(len(one.keys) for one in FLEET) == 5
