"""The public scenarios of failover, ten times as fast, as clients see them with the gateway's defaults."""

from dataclasses import replace

from bench.failover import FALLBACK_MODEL, SCENARIOS, play, public_names, scaled_routing, upstreams

from integration.gateway import chat, run, serving

SCALE = 0.1

# The worst acceptable verdict of each. If it is not `pass`, the gateway's default differs from the scenario's advice:
# it fails over at once instead of retrying the same provider, and it cannot take back what has reached a client.
LEAST = {
    **dict.fromkeys(("S02", "S04", "S05", "S06", "S10", "S11", "S12", "S13", "S15", "S16"), "pass"),
    **dict.fromkeys(("S01", "S03", "S07"), "partial"),
    **dict.fromkeys(("S08", "S09", "S14"), "safe"),
}
RANKS = ("fail", "safe", "partial", "pass")


def test_no_scenario_fails_or_gets_worse() -> None:
    # Longer than in the original, so that a busy machine returns to the primary too.
    scenarios = [replace(one, requests=30) if one.name == "S15" else one for one in SCENARIOS]

    async def main() -> None:
        settings = upstreams(SCALE)
        async with serving(providers=settings, models=public_names(), routing=scaled_routing(SCALE)) as gateway:
            results = await play(gateway.base_url, gateway.providers, SCALE, scenarios)
            assert [result.name for result in results] == sorted(LEAST)
            for result in results:
                assert RANKS.index(result.verdict) >= RANKS.index(LEAST[result.name]), result
            answer = await gateway.ask(chat("well"))
            assert (answer.status, answer.headers["x-pointsman-model"]) == (200, FALLBACK_MODEL)

    run(main())
