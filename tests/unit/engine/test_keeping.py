"""Bodies are noted for the requests that the configuration chooses, and for no others."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings

KEYS = {"A_KEY": "pm-key-of-a-0123456789abcdef", "B_KEY": "pm-key-of-b-0123456789abcdef"}
RULES = [{"name": "loud", "when": 'headers["x-loud"] == "yes"', "model": "chat"}]


@asynccontextmanager
async def keeping(**bodies: Any) -> AsyncIterator[Gateway]:
    sections: dict[str, Any] = {"bodies": bodies} if bodies else {}
    async with serving(
        providers={"up": Settings(models=("sim-1",))},
        models={"chat": ["up/sim-1"]},
        governance={"virtual_keys": {"a": "env.A_KEY", "b": "env.B_KEY"}},
        routing={"rules": RULES},
        environ=KEYS,
        **sections,
    ) as gateway:
        yield gateway


async def ask(gateway: Gateway, key: str, **headers: str) -> str:
    named = {"authorization": f"Bearer {KEYS[key]}", **{name.replace("_", "-"): one for name, one in headers.items()}}
    answer = await gateway.ask(chat(), headers=named)
    assert answer.status == 200
    return str(answer.headers["x-request-id"])


def kept(gateway: Gateway) -> set[str]:
    """Return the ids of the requests whose bodies are on the disk."""
    assert gateway.worker is not None
    writer = gateway.worker.plane.engine.bodies
    writer._write_all()
    files = Path(gateway.worker.plane.settings.data_dir, "bodies").glob("*.jsonl")
    return {json.loads(line)["request_id"] for path in files for line in path.read_bytes().splitlines()}


@pytest.mark.parametrize("bodies", [{}, {"virtual_keys": ["a"]}, {"rules": ["loud"]}, {"all": True}])
def test_bodies_are_kept_by_key_rule_or_for_all(bodies: dict[str, Any]) -> None:
    async def main() -> None:
        async with keeping(**bodies) as gateway:
            of_a, of_b = await ask(gateway, "A_KEY"), await ask(gateway, "B_KEY")
            loud = await ask(gateway, "B_KEY", x_loud="yes")
            expected = {"virtual_keys": {of_a}, "rules": {loud}, "all": {of_a, of_b, loud}}
            assert kept(gateway) == (expected[next(iter(bodies))] if bodies else set())

    run(main())


def test_compressed_body_is_told_and_not_kept() -> None:
    async def main() -> None:
        import gzip

        async with keeping(all=True) as gateway:
            named = {"authorization": f"Bearer {KEYS['A_KEY']}", "content-encoding": "gzip"}
            answer = await gateway.ask(gzip.compress(json.dumps(chat()).encode()), headers=named)
            if answer.status == 200:
                kept(gateway)
                assert gateway.worker is not None
                (path,) = Path(gateway.worker.plane.settings.data_dir, "bodies").glob("*.jsonl")
                assert json.loads(path.read_bytes())["unread"] == ["request"]

    run(main())
