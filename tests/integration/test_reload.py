"""A new configuration takes effect without losing a request. An invalid one changes nothing and is reported once."""

import asyncio
import json
import signal
from collections import Counter
from typing import Any

import pytest

from fakes.simulated import finish_answers
from integration.gateway import Gateway, document, run, serving, until
from integration.wire import ask, chat, connect, deltas, request
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
TOKENS = 20
HOUR_MS = 3_600_000.0  # between tokens: streams pause until the test lets them continue
IN_FORCE = "is in force"
REJECTED = "the old one stays in force"
PROVIDERS = {
    name: Settings(models=("sim-1", "sim-2"), text="numbered", output_tokens="max_tokens", token_gap_ms=3)
    for name in ("a", "b")
}


def _weighted(a: float, b: float, salt: int = 0) -> dict[str, Any]:
    """Return public names with these weights. `salt` makes configurations differ."""
    targets = [{"model": "a/sim-1", "weight": a}, {"model": "b/sim-1", "weight": b}]
    return {"chat": {"strategy": "weighted", "targets": targets}, f"salt-{salt}": ["a/sim-1"]}


def _write(gateway: Gateway, text: str) -> None:
    """Replace the file in one step, as editors and orchestrators do."""
    new = gateway.config_file.with_suffix(".new")
    new.write_text(text)
    new.rename(gateway.config_file)


def _text(gateway: Gateway, **sections: Any) -> str:
    return json.dumps(document(gateway, sections))


def _count(gateway: Gateway, text: str) -> int:
    return sum(text in line for line in gateway.stderr)


async def _reloaded(gateway: Gateway, text: str, before: int) -> None:
    await until(lambda: _count(gateway, text) > before, f"the log contains {text!r} once more")


def _last_in_force(gateway: Gateway) -> str:
    """Return the log's last words on a configuration in force, with its digest; empty before any reload."""
    every = [line.partition("configuration ")[2] for line in gateway.stderr if IN_FORCE in line]
    return every[-1] if every else ""


async def _changed(gateway: Gateway, before: str) -> None:
    """Wait until another configuration is in force. A late signal reports the one again that the watcher has put in
    force, so a further line alone does not count."""
    await until(lambda: _last_in_force(gateway) != before, "another configuration is in force")


async def _providers_used(gateway: Gateway, count: int = 20) -> Counter[str]:
    async with connect(gateway.base_url) as wire:
        answers = [await wire.ask("POST", CHAT, chat(max_tokens=1)) for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.headers["x-pointsman-provider"] for answer in answers)


class _Load:
    """Plain and streamed requests in a loop. All of them must succeed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._is_over = False
        self.wrong: list[str] = []
        self.served = 0

    async def __aenter__(self) -> "_Load":
        works = [self._plain, self._plain, self._streamed, self._streamed, self._new_connections]
        self._tasks = [asyncio.create_task(work()) for work in works * 2]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _plain(self) -> None:
        async with connect(self._gateway.base_url) as wire:
            while not self._is_over:
                received = await wire.ask("POST", CHAT, chat(max_tokens=3))
                self._count(received.status == 200, repr(received))

    async def _new_connections(self) -> None:
        while not self._is_over:
            received = await ask(self._gateway.base_url, "POST", CHAT, chat(max_tokens=3))
            self._count(received.status == 200, repr(received))

    async def _streamed(self) -> None:
        async with connect(self._gateway.base_url) as wire:
            while not self._is_over:
                received = await wire.ask("POST", CHAT, chat(max_tokens=TOKENS, stream=True))
                whole = deltas(received.body) == [f" {number}" for number in range(TOKENS)]
                self._count(whole and received.body.endswith(b"data: [DONE]\n\n"), repr(received))

    def _count(self, is_good: bool, text: str) -> None:
        self.served += 1
        if not is_good:
            self.wrong.append(text[:500])


async def _reload_under_load(count: int) -> None:
    """Do `count` reloads, every tenth with an invalid file; every second by signal, the others by a change of the
    file."""
    async with serving(providers=PROVIDERS, models=_weighted(1, 1), as_process=True) as gateway:
        process = gateway.process
        assert process is not None
        async with _Load(gateway) as load:
            for number in range(1, count + 1):
                is_valid = number % 10 != 0
                says = IN_FORCE if is_valid else REJECTED
                before = _count(gateway, says)
                if is_valid:
                    _write(gateway, _text(gateway, models=_weighted(number % 3, 1 + number % 2, number)))
                else:
                    _write(gateway, _text(gateway, models={"chat": ["nowhere/sim-1"]}, salt=number))
                if number % 2:
                    process.send_signal(signal.SIGHUP)
                await _reloaded(gateway, says, before)
        assert not load.wrong, load.wrong[:3]
        assert load.served > count
        print(f"{count} reloads: {load.served} requests, {len(load.wrong)} failed")
        await gateway.wait_for_records(load.served)
        assert {record["status"] for record in gateway.records} == {200}


def test_reload_under_load_loses_no_request() -> None:
    run(_reload_under_load(40))


@pytest.mark.slow
def test_many_reloads_under_load_lose_no_request() -> None:
    run(_reload_under_load(200))


@pytest.mark.parametrize("by_signal", [pytest.param(False, marks=pytest.mark.slow), True])
def test_new_weights_and_targets_are_in_force(by_signal: bool) -> None:
    async def main() -> None:
        async with serving(providers=PROVIDERS, models=_weighted(1, 0), as_process=True) as gateway:
            assert await _providers_used(gateway) == {"a": 20}
            await gateway.watches()
            for models, expected in (
                (_weighted(0, 1), {"b": 20}),
                ({"chat": ["a/sim-2"]}, {"a": 20}),
                ({"chat": ["b/sim-1", "a/sim-1"], "more": ["a/sim-1"]}, {"b": 20}),
            ):
                before = _last_in_force(gateway)
                if by_signal:
                    gateway.config_file.write_text(_text(gateway, models=models))
                    assert gateway.process is not None
                    gateway.process.send_signal(signal.SIGHUP)
                else:
                    _write(gateway, _text(gateway, models=models))
                await _changed(gateway, before)
                assert await _providers_used(gateway) == expected
            listed = (await ask(gateway.base_url, "GET", "/v1/models/more")).json()
            assert listed["id"] == "more"

    run(main())


INVALID = {
    '{"version": 1, "providers": {': "not valid YAML",
    '{"version": 1, "providers": []}': "providers",
    "version: 1\nproviders: {openai: env.NO_SUCH_VARIABLE}\n": "NO_SUCH_VARIABLE",
    "version: 1\nprovidres: {}\n": "providers",
    "": "pointsman.json",
    "\0\xff": "pointsman.json",
}


def test_invalid_files_are_reported_once_and_change_nothing() -> None:
    async def main() -> None:
        async with serving(providers=PROVIDERS, models=_weighted(1, 0), as_process=True) as gateway:
            good = gateway.config_file.read_text()
            await gateway.watches()
            for number, (text, says) in enumerate(INVALID.items()):
                gateway.stderr.append("--\n")
                _write(gateway, text)
                await _reloaded(gateway, REJECTED, number)
                report = "".join(gateway.stderr).rpartition("--\n")[2]
                assert says in report, report
                assert await _providers_used(gateway) == {"a": 20}
            await asyncio.sleep(0.5)
            assert _count(gateway, REJECTED) == len(INVALID)
            assert _count(gateway, IN_FORCE) == 0
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGHUP)  # a request for a reload is reported again
            await _reloaded(gateway, REJECTED, len(INVALID))
            _write(gateway, good)
            assert await _providers_used(gateway) == {"a": 20}

    run(main())


def test_missing_file_changes_nothing() -> None:
    async def main() -> None:
        async with serving(providers=PROVIDERS, models=_weighted(1, 0), as_process=True) as gateway:
            await gateway.watches()
            gateway.config_file.unlink()
            await _reloaded(gateway, REJECTED, 0)
            assert await _providers_used(gateway) == {"a": 20}
            _write(gateway, _text(gateway, models=_weighted(0, 1)))
            await _reloaded(gateway, IN_FORCE, 0)
            assert await _providers_used(gateway) == {"b": 20}

    run(main())


def test_streams_of_a_provider_that_is_removed_finish() -> None:
    tokens, count = 100, 50

    async def main() -> None:
        slow = Settings(models=("sim-1",), text="numbered", output_tokens="max_tokens", token_gap_ms=HOUR_MS)
        async with serving(
            providers={"a": slow, "b": PROVIDERS["b"]}, models=_weighted(1, 0), as_process=True
        ) as gateway:
            begun = asyncio.Semaphore(0)

            async def stream() -> list[str]:
                async with connect(gateway.base_url) as wire:
                    wire.write(request("POST", CHAT, chat(max_tokens=tokens, stream=True)))
                    received = await wire.head()
                    begun.release()
                    body = b"".join([piece async for piece in wire.pieces(received)])
                    assert body.endswith(b"data: [DONE]\n\n")
                    return deltas(body)

            streams = [asyncio.create_task(stream()) for _ in range(count)]
            for _ in range(count):
                await begun.acquire()
            await gateway.watches()
            without = json.loads(_text(gateway, models={"chat": ["b/sim-1"]}))
            del without["providers"]["a"]
            _write(gateway, json.dumps(without))
            await _reloaded(gateway, IN_FORCE, 0)
            assert await _providers_used(gateway) == {"b": 20}
            finish_answers(gateway.providers["a"])
            for texts in await asyncio.gather(*streams):
                assert texts == [f" {number}" for number in range(tokens)]
            received = await ask(gateway.base_url, "POST", CHAT, chat("a/sim-1"))
            assert received.status == 404

    run(main())


def test_signal_right_after_the_start_is_handled() -> None:
    async def main() -> None:
        for _ in range(2):
            async with serving(providers=PROVIDERS, models=_weighted(1, 0), as_process=True) as gateway:
                assert gateway.process is not None
                gateway.process.send_signal(signal.SIGHUP)
                await _reloaded(gateway, IN_FORCE, 0)

    run(main())
