"""Fixtures that run tests on both event loops, and send raw bytes to simulated providers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
import uvloop

from fakes.clock import PATIENCE_S
from fakes.raw_client import RawClient, Received
from pointsman.simulate import SimulatedProvider
from pointsman.simulate.bill import Entry

T = TypeVar("T")

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 5}


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine to its end on either loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run_coroutine(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    return run_coroutine


@pytest.fixture
def settled() -> Callable[[SimulatedProvider], Awaitable[Entry]]:
    """Wait until the latest entry of the bill is settled."""

    async def latest(provider: SimulatedProvider) -> Entry:
        async with asyncio.timeout(PATIENCE_S):
            while not provider.bill.entries or provider.bill.entries[-1].outcome == "open":
                await asyncio.sleep(0.001)
        return provider.bill.entries[-1]

    return latest


@pytest.fixture
def connect() -> Callable[[SimulatedProvider], Awaitable[RawClient]]:
    """Open a connection."""
    return RawClient.connect


@pytest.fixture
def ask() -> Callable[..., Awaitable[Received]]:
    """Send a request on a new connection, and close it. The default request is a chat of five tokens."""

    async def ask_once(provider: SimulatedProvider, body: Any = CHAT, *, beyond: bool = False, **how: Any) -> Received:
        client = await RawClient.connect(provider)
        client.send(body, **how)
        received = await client.receive(beyond=beyond)
        await client.close()
        return received

    return ask_once
