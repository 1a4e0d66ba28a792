"""Long prompts return to the provider, and to the key, whose cache has them, over real sockets."""

from collections import Counter
from itertools import pairwise
from typing import Any

from integration.gateway import Gateway, run, serving
from pointsman.simulate import Settings

MODEL = "gpt-4o-mini"
NAMES = ("alpha", "beta", "gamma", "delta")
TURN = "Tell me more about the history of railway signals, and be exact. " * 40


def conversation(number: int, turns: int, **fields: Any) -> dict[str, Any]:
    """Build the request for a turn of a conversation."""
    messages = [{"role": "user", "content": f"{number} {turn} {TURN}"} for turn in range(turns)]
    return {"model": "chat", "messages": messages, "stream": True, "max_tokens": 2, **fields}


async def talk(gateway: Gateway, conversations: int, turns: range, **headers: str) -> list[tuple[int, str]]:
    """Let conversations go on in turn. Return their numbers with the providers that served them."""
    found = []
    for length in turns:
        for number in range(conversations):
            answer = await gateway.ask(conversation(number, length), headers=headers)
            assert answer.status == 200
            found.append((number, answer.headers["x-pointsman-provider"]))
    return found


def hits(gateway: Gateway) -> tuple[int, int]:
    """Return the cached tokens of the bills, and all tokens of prompts."""
    entries = [entry for one in gateway.providers.values() for entry in one.bill.entries]
    return sum(entry.tokens_cached for entry in entries), sum(entry.tokens_in for entry in entries)


def caching(**model: Any) -> Any:
    """Serve `chat` at four equal providers that cache prompts."""
    settings = Settings(first_token_ms=25.0, output_tokens=2.0, cached_prompts=500)
    targets = [f"{name}/{MODEL}" for name in NAMES]
    return serving(
        providers=dict.fromkeys(NAMES, settings),
        models={"chat": {"strategy": "adaptive", "targets": targets, **model}},
    )


def test_conversations_stay_at_the_caches_that_have_them() -> None:
    async def main() -> None:
        async with caching() as gateway:
            found = await talk(gateway, 12, range(2, 10))
            of_each = [[name for at, name in found if at == number] for number in range(12)]
            moved = sum(before != after for names in of_each for before, after in pairwise(names[2:]))
            assert moved <= 24, "of 60 turns; by chance it would be 45"
            cached, total = hits(gateway)
            assert cached > 0.4 * total

    run(main())


def test_explanation_has_the_expected_tokens() -> None:
    async def main() -> None:
        async with caching() as gateway:
            await talk(gateway, 1, range(2, 12))
            records = await gateway.wait_for_records(10)
            assert any("cached tokens expected" in note for note in records[-1]["notes"])

    run(main())


def test_conversation_leaves_its_cache_when_the_provider_fails() -> None:
    async def main() -> None:
        async with caching() as gateway:
            await talk(gateway, 6, range(2, 6))
            home = Counter(name for _, name in await talk(gateway, 1, range(6, 8))).most_common(1)[0][0]
            gateway.providers[home].set_fault("status=500")
            found = await talk(gateway, 6, range(8, 12))
            assert home not in [name for _, name in found]

    run(main())


def test_conversations_stay_at_the_key_whose_cache_has_them() -> None:
    async def main() -> None:
        settings = Settings(output_tokens=2.0, cached_prompts=500, keys={"one": "", "two": "", "three": ""})
        keys = {name: f"env.KEY_{name}" for name in ("one", "two", "three")}
        async with serving(
            providers={"alpha": settings},
            provider_settings={"alpha": {"keys": keys}},
            models={"chat": {"strategy": "adaptive", "targets": [f"alpha/{MODEL}"]}},
            environ={f"KEY_{name}": name for name in keys},
        ) as gateway:
            await talk(gateway, 9, range(2, 8))
            entries = gateway.providers["alpha"].bill.entries
            by_turn = [[entry.key for entry in entries[9 * turn : 9 * turn + 9]] for turn in range(6)]
            assert all(one == by_turn[0] for one in by_turn)
            assert len(set(by_turn[0])) > 1
            cached, total = hits(gateway)
            assert cached > 0.5 * total

    run(main())
