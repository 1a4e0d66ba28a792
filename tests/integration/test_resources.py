"""Resources made by API on a running gateway: in force at every worker, in the store and in the snapshot, and neither
lost nor half applied when control is killed."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import pytest

from integration.databases import database
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.config.live_keys import LiveKeys
from pointsman.config.snapshot_file import read_accepted
from pointsman.simulate.settings import Settings

SECRET = "sk-of-the-provider-made-by-api"
GUARD: dict[str, Any] = {"egress": {"allow_private": ["127.0.0.0/8"]}}
TWO: dict[str, Any] = {"server": {"workers": 2}, **GUARD}


async def api(gateway: Gateway, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send a call, and return its status and its answer; status 0 without an answer."""
    try:
        answer = await gateway.admin(f"/api/v1/{path}", method, body)
        found = answer.json if answer.status else None
    except (OSError, ValueError):
        return 0, None
    return answer.status, found


async def ready(gateway: Gateway) -> None:
    """Wait until control has its store."""
    async with asyncio.timeout(120):
        while (await api(gateway, "PATCH", "teams/nobody", {"spec": {}}))[0] != 404:
            await asyncio.sleep(0.05)
        while (await api(gateway, "DELETE", "keys/nobody"))[0] != 404:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def stored_in(kind: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the settings of a store."""
    if kind == "sqlite":
        yield {}
    else:
        async with database() as url:
            yield {"store": {"url": url}}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_provider_made_by_api_serves_at_once_and_after_a_crash(kind: str) -> None:
    async def main() -> None:
        provider = {"up": Settings(keys={SECRET: ""})}
        # The file has the address of the provider, but not its key: only the provider made by API can use it.
        async with (
            stored_in(kind) as store,
            serving(providers=provider, as_process=True, provider_settings={"up": {"keys": {"a": ""}}}, **TWO, **store)
            as gateway,
        ):  # fmt: skip
            await ready(gateway)
            spec = {
                "type": "openai-compatible",
                "base_url": gateway.providers["up"].base_url,
                "keys": {"main": SECRET},
                "serves": ["*"],
            }
            assert (await api(gateway, "POST", "providers", {"name": "made", "spec": spec}))[0] == 201
            made = {"name": "quick", "spec": ["made/gpt-4o-mini"]}
            status, answer = await api(gateway, "POST", "models", made)
            assert (status, answer["waiting_workers"]) == (201, [])
            answers = await gateway.ask_many(20, 8, chat("quick"))
            assert [one.status for one in answers] == [200] * 20, "every worker has it when the call returns"
            for pid in gateway.children.values():
                os.kill(pid, signal.SIGKILL)
            assert gateway.process is not None
            gateway.process.kill()
            await gateway.process.wait()
            await gateway.start()
            assert (await gateway.ask(chat("quick"))).status == 200
            assert (await gateway.ask(chat("up/gpt-4o-mini"))).status != 200
            await ready(gateway)
            assert (await api(gateway, "DELETE", "models/quick"))[0] == 200
            answers = await gateway.ask_many(20, 8, chat("quick"))
            assert {one.status for one in answers} == {404}
            folder = gateway.config_file.parent
            written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
            assert SECRET.encode() not in written

    run(main())


class Model:
    """The resources that a gateway should have, for calls with and without an answer."""

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self.gateway = gateway
        self.dice = random.Random(seed)
        self.sure: dict[str, Any] = {}  # by path
        self.number = 0

    async def act(self) -> None:
        """Make one random change. If its answer is lost, find out if it happened."""
        self.number += 1
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("teams", {"labels": {"n": str(self.number)}}),
            ("customers", {"budgets": [{"limit_usd": self.number, "per": "day"}]}),
            ("models", {"targets": ["up/gpt-4o-mini"], "strategy": "priority", "response_model": "requested"}),
            ("prices", {"input_usd_per_million": self.number, "output_usd_per_million": 1}),
            ("rules", {"model": "up/gpt-4o", "value": self.number}),
            ("defaults", {"budgets": [{"limit_usd": self.number, "per": "day"}]}),
            ("keys", {"labels": {"n": str(self.number)}, "budgets": [{"limit_usd": self.number, "per": "day"}]}),
        ]
        kind, spec = self.dice.choice(kinds)
        name = self.dice.choice("abcd")
        if kind == "prices":
            name = f"up/{name}"
            spec = {"model": name, **spec}
        if kind == "rules":
            spec = {"name": name, "when": f'model == "{name}"', **spec}
        if kind == "defaults":
            spec = {"each": "team", "labels": {"n": name}, **spec}
            name = f"team;label.n={name}"
        path = f"{kind}/{quote(name)}"
        if path in self.sure and self.dice.random() < 0.3:
            status, answer = await api(self.gateway, "DELETE", path)
            wanted = None
        elif kind == "keys":
            status, answer = await self.key(name, path, spec)
            wanted = spec
        else:
            status, answer = await api(self.gateway, "PUT", path, {"spec": spec})
            wanted = spec
        assert status in (0, 200, 201, 202, 503), answer["detail"]
        if status in (0, 503):
            await ready(self.gateway)
            found = await self.read(path)
            assert found in (self.sure.get(path), wanted), "a change is whole, or did not happen"
            wanted = found
        if wanted is None:
            self.sure.pop(path, None)
        else:
            self.sure[path] = wanted

    async def key(self, name: str, path: str, settings: dict[str, Any]) -> tuple[int, Any]:
        """Make a virtual key, or change it."""
        if path in self.sure:
            return await api(self.gateway, "PATCH", path, {"settings": settings})
        return await api(self.gateway, "POST", "keys", {"name": name, "settings": settings})

    async def pair(self) -> None:
        """Make a change of two resources in one call: both or none."""
        self.number += 1
        label = {"labels": {"pair": str(self.number)}}
        document = (await api(self.gateway, "GET", "config/export?only_made=true"))[1]
        if document is None or "document" not in document:
            return
        teams = document["document"].setdefault("governance", {}).setdefault("teams", {})
        teams.update({"pair-1": label, "pair-2": label})
        await api(self.gateway, "POST", "config/apply", {"document": document["document"]})

    async def read(self, path: str) -> Any:
        """Return the content of a resource, or `None` if there is none."""
        async with asyncio.timeout(120):
            while True:
                status, found = await api(self.gateway, "GET", path)
                if status in (200, 404):
                    return found.get("spec", found.get("settings")) if status == 200 else None
                await asyncio.sleep(0.05)

    async def check(self) -> None:
        """Compare the gateway, its store and its snapshot with the model."""
        await ready(self.gateway)
        pairs = [await self.read(f"teams/pair-{number}") for number in (1, 2)]
        assert pairs[0] == pairs[1], "a change of two resources is never half applied"
        for path, spec in self.sure.items():
            assert await self.read(path) == spec, path
        document = (await api(self.gateway, "GET", "config/export"))[1]["document"]
        status, outcome = await api(self.gateway, "POST", "config/apply", {"document": document})
        assert (status, outcome["changes"], outcome["notes"]) == (200, [], []), "what was exported changes nothing"
        kept = read_accepted(self.gateway.config_file.parent / "data" / "snapshot").resources
        _, status_page = await api(self.gateway, "GET", "status")
        assert {one["digest"] for one in status_page["workers"]} == {status_page["digest"]}
        made: set[tuple[str, str]] = set()
        for kind in ("teams", "customers", "models", "prices", "rules", "defaults"):
            found = (await api(self.gateway, "GET", f"{kind}?owner=api"))[1]["items"]
            made |= {(one["kind"], one["name"]) for one in found}
        assert {(one.kind, one.name) for one in kept} == made
        keys = {path.partition("/")[2] for path in self.sure if path.startswith("keys/")}
        listed = (await api(self.gateway, "GET", "keys"))[1]["keys"]
        live = LiveKeys(self.gateway.config_file.parent / "data" / "api-keys.db")
        assert {one["name"] for one in listed} == keys == live.names(), "store, file and model have the same keys"
        live.close()


async def play(kind: str, seed: int, changes: int, kills: int) -> None:
    dice = random.Random(seed)
    async with (
        stored_in(kind) as store,
        serving(providers={"up": Settings()}, as_process=True, **TWO, **store) as gateway,
    ):
        await ready(gateway)
        model = Model(gateway, seed)
        deaths = set(dice.sample(range(changes), kills))
        for number in range(changes):
            killing: asyncio.Task[None] | None = None
            if number in deaths:
                killing = asyncio.create_task(kill_control(gateway, dice.uniform(0.0, 0.15)))
            await (model.pair() if dice.random() < 0.2 else model.act())
            if killing is not None:
                await killing
                await model.check()
        await model.check()


async def kill_control(gateway: Gateway, after_s: float) -> None:
    await asyncio.sleep(after_s)
    control = gateway.children.get("control")
    if control is not None:
        with suppress(ProcessLookupError):
            os.kill(control, signal.SIGKILL)
        await until(lambda: gateway.children.get("control") not in (None, control), "control is replaced")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_control_leaves_no_half_applied_change(kind: str) -> None:
    run(play(kind, seed=1, changes=25, kills=3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_many_changes_survive_many_kills(kind: str) -> None:
    run(play(kind, seed=2, changes=1000, kills=20))
