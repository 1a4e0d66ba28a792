"""The public scenarios of failover, ten times as fast, as clients see them: by default, and with settings for all."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from bench.failover.play import play, play_burst
from bench.failover.scenarios import (
    FALLBACK_MODEL,
    SCENARIOS,
    public_names,
    scaled_routing,
    stated_routing,
    upstreams,
)

from integration.gateway import chat, run, serving

SCALE = 0.1

# The worst acceptable verdict of each with the defaults. If it is not `pass`, the default differs from the scenario's
# advice: the gateway fails over at once instead of retrying the same provider, and it cannot take back data that has
# reached a client.
BY_DEFAULT = {
    **dict.fromkeys(("S02", "S04", "S05", "S06", "S10", "S11", "S12", "S13", "S15", "S16"), "pass"),
    **dict.fromkeys(("S01", "S03", "S07"), "partial"),
    **dict.fromkeys(("S08", "S09", "S14"), "safe"),
}
STATED = dict.fromkeys(BY_DEFAULT, "pass")
RANKS = ("fail", "safe", "partial", "pass")


@pytest.mark.parametrize(
    ("routing", "worst"),
    [(scaled_routing(SCALE), BY_DEFAULT), (stated_routing(SCALE), STATED)],
    ids=["defaults", "stated"],
)
def test_no_scenario_fails_or_gets_worse(routing: dict[str, object], worst: Mapping[str, str]) -> None:
    # Longer than in the original, so that a busy machine returns to the primary too.
    scenarios = [replace(one, requests=30) if one.name == "S15" else one for one in SCENARIOS]

    async def main() -> None:
        async with serving(providers=upstreams(SCALE), models=public_names(), routing=routing) as gateway:
            results = await play(gateway.base_url, gateway.providers, SCALE, scenarios)
            assert [result.name for result in results] == sorted(worst)
            for result in results:
                # Within a tenth of the time, a busy machine may be late.
                is_late = result.verdict == "partial" and result.advice == ["late"]
                assert is_late or RANKS.index(result.verdict) >= RANKS.index(worst[result.name]), result
            answer = await gateway.ask(chat("well"))
            assert (answer.status, answer.headers["x-pointsman-model"]) == (200, FALLBACK_MODEL)

    run(main())


def test_burst_is_served_while_all_providers_but_one_are_dead() -> None:
    async def main() -> None:
        async with serving(providers=upstreams(SCALE), models=public_names()) as gateway:
            result = await play_burst(gateway.base_url, gateway.providers)
            assert result.verdict == "pass", result

    run(main())
