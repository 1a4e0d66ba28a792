"""The cache of addresses, with a lookup that the test controls."""

import asyncio
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from fakes.clock import PATIENCE_S, Clock
from fakes.origin import run
from pointsman.transport import resolver as module
from pointsman.transport.errors import ConnectError
from pointsman.transport.resolver import Address, Resolver, literal_address, system_lookup

ONE: list[Address] = [(socket.AF_INET, "192.0.2.1")]
TWO: list[Address] = [(socket.AF_INET, "192.0.2.2")]


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Names:
    """A lookup that returns `answer` if it is a list of addresses, and raises it if it is an exception."""

    def __init__(self, answer: list[Address] | Exception = ONE) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, host: str) -> list[Address]:
        self.asked.append(host)
        assert self.may_answer.wait(PATIENCE_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def resolving(names: Names, main: Callable[[Resolver], Any], clock: Callable[[], float] = monotonic) -> None:
    async def whole() -> None:
        resolver = Resolver(asyncio.get_running_loop(), names, clock=clock)
        try:
            await main(resolver)
        finally:
            names.may_answer.set()
            await resolver.close()

    run(whole())


def test_literal_addresses_are_not_looked_up() -> None:
    names = Names()

    async def main(resolver: Resolver) -> None:
        assert await resolver.resolve("127.0.0.1") == [(socket.AF_INET, "127.0.0.1")]
        assert await resolver.resolve("::1") == [(socket.AF_INET6, "::1")]

    resolving(names, main)
    assert names.asked == []
    assert literal_address("a.example") is None
    assert literal_address("2130706433") is None


def test_system_lookup_resolves_localhost() -> None:
    assert (socket.AF_INET, "127.0.0.1") in system_lookup("localhost")


def test_addresses_are_cached_for_their_ttl(clock: Clock) -> None:
    names = Names()

    async def main(resolver: Resolver) -> None:
        assert await resolver.resolve("a.example") == ONE
        names.answer = TWO
        clock.now += 29.9
        assert await resolver.resolve("a.example") == ONE
        clock.now += 0.2
        assert await resolver.resolve("a.example") == TWO

    resolving(names, main, clock)
    assert len(names.asked) == 2


def test_concurrent_requests_share_a_lookup_that_survives_cancelling() -> None:
    names = Names()

    async def main(resolver: Resolver) -> None:
        names.may_answer.clear()
        asking = [asyncio.ensure_future(resolver.resolve("a.example")) for _ in range(5)]
        await asyncio.sleep(0.01)
        asking[0].cancel()
        names.may_answer.set()
        assert await asyncio.gather(*asking[1:]) == [ONE] * 4

    resolving(names, main)
    assert names.asked == ["a.example"]


def test_failure_is_cached_for_five_seconds(clock: Clock) -> None:
    names = Names(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))

    async def main(resolver: Resolver) -> None:
        for _ in range(3):
            with pytest.raises(
                ConnectError, match=r"could not resolve the host name a\.example: Name or service"
            ) as caught:
                await resolver.resolve("a.example")
            assert caught.value.kind.code == "dns_failed"
        assert len(names.asked) == 1
        clock.now += 5.1
        names.answer = ONE
        assert await resolver.resolve("a.example") == ONE

    resolving(names, main, clock)


def test_old_addresses_are_used_for_an_hour_while_lookups_fail(clock: Clock) -> None:
    names = Names()

    async def main(resolver: Resolver) -> None:
        await resolver.resolve("a.example")
        names.answer = OSError("no name server")
        for _ in range(6):
            clock.now += 599
            assert await resolver.resolve("a.example") == ONE
        assert len(names.asked) == 7
        assert await resolver.resolve("a.example") == ONE
        assert len(names.asked) == 7  # the failure is cached
        clock.now += 10
        with pytest.raises(ConnectError, match="no name server"):
            await resolver.resolve("a.example")
        clock.now += 6
        names.answer = TWO
        assert await resolver.resolve("a.example") == TWO

    resolving(names, main, clock)


def test_old_addresses_are_used_while_a_lookup_hangs(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_PATIENCE_S", 0.02)
    names = Names()

    async def main(resolver: Resolver) -> None:
        await resolver.resolve("a.example")
        names.answer = TWO
        names.may_answer.clear()
        clock.now += 60
        assert await resolver.resolve("a.example") == ONE
        assert await resolver.resolve("a.example") == ONE
        assert len(names.asked) == 2
        names.may_answer.set()
        while await resolver.resolve("a.example") != TWO:
            await asyncio.sleep(0.001)

    resolving(names, main, clock)


def test_hanging_lookup_delays_neither_others_nor_the_exit() -> None:
    hung = threading.Event()

    def lookup(host: str) -> list[Address]:
        if host.startswith("hung"):
            hung.wait(PATIENCE_S)
        return ONE

    async def main() -> None:
        resolver = Resolver(asyncio.get_running_loop(), lookup)
        waiting = [asyncio.ensure_future(resolver.resolve(f"hung{index}.example")) for index in range(3)]
        await asyncio.sleep(0)
        assert await resolver.resolve("a.example") == ONE
        for task in waiting:
            task.cancel()
        await resolver.close()

    run(main())
    hung.set()  # its result arrives after the loop is closed


def test_invalid_names_and_empty_results_are_dns_failures() -> None:
    async def main() -> None:
        resolver = Resolver(asyncio.get_running_loop())
        for name in ("a..example", "x" * 70 + ".example"):
            with pytest.raises(ConnectError):
                await resolver.resolve(name)
        await resolver.close()
        resolver = Resolver(asyncio.get_running_loop(), Names([]))
        with pytest.raises(ConnectError, match="no addresses"):
            await resolver.resolve("a.example")
        await resolver.close()

    run(main())


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 3)

    async def main(resolver: Resolver) -> None:
        for index in range(10):
            assert await resolver.resolve(f"{index}.example") == ONE
        assert len(resolver._names) == 3

    resolving(Names(), main)
