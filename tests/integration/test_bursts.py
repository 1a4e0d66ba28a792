"""Failover continues while an untried candidate could serve, however many requests fail at once."""

from collections import Counter
from typing import Any

import pytest

from integration.gateway import chat, run, serving
from pointsman.simulate import Settings

WELL, DEAD = Settings(), Settings(first_token_ms=200.0)


async def burst(names: str, dead: str, size: int, *, stream: bool = False, **sections: Any) -> Counter[int]:
    """Return the statuses of `size` requests that arrive at once at a new gateway, whose providers `dead` answer
    500."""
    providers = {name: DEAD if name in dead else WELL for name in names}
    models = {"chat": [f"{name}/gpt-4o-mini" for name in names]}
    async with serving(providers=providers, models=models, **sections) as gateway:
        for name in dead:
            gateway.providers[name].set_fault("status=500")
        answers = await gateway.ask_many(size, size, chat(stream=stream))
        for answer in answers:
            if answer.status == 200:
                assert answer.headers["x-pointsman-provider"] not in dead
        return Counter(answer.status for answer in answers)


@pytest.mark.parametrize(
    ("names", "dead", "size"),
    [
        ("abc", "ab", 60),
        ("abcde", "abcd", 60),
        pytest.param("abc", "ab", 300, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_burst_is_served_by_the_healthy_provider(names: str, dead: str, size: int, stream: bool) -> None:
    assert run(burst(names, dead, size, stream=stream)) == {200: size}


def test_rejected_keys_do_not_use_up_the_attempts() -> None:
    """Four keys of the first provider are rejected, two attempts are allowed, and the second provider is healthy."""

    async def main() -> None:
        keys = {f"k{number}": {"value": f"env.KEY{number}"} for number in range(4)}
        async with serving(
            providers={"a": Settings(keys={"another": ""}), "b": WELL},
            provider_settings={"a": {"keys": keys}},
            environ={f"KEY{number}": f"value-{number}" for number in range(4)},
            models={"chat": ["a/gpt-4o-mini", "b/gpt-4o-mini"]},
            routing={"max_attempts": 2},
        ) as gateway:
            answer = await gateway.ask(chat())
            assert answer.status == 200
            assert answer.headers["x-pointsman-provider"] == "b"

    run(main())
