"""The environment of an engine in tests: a log that keeps records, the carrier of a leg, and a complete engine in front
of scripted origins."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from msgspec import Struct

from fakes.origin import FakeOrigin, Script, serving
from fakes.routing import ALL_OPERATIONS
from pointsman.domain.network import Network
from pointsman.domain.origin import Secret
from pointsman.domain.records import RequestRecord
from pointsman.domain.snapshots import PublicModel, Routing, Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, Strategy, candidate
from pointsman.engine.billing import Billing
from pointsman.engine.engine import Engine
from pointsman.engine.live import Live
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.upstreams import Upstreams
from pointsman.money.ledger import Ledger
from pointsman.telemetry.log import LogWriter
from pointsman.transport.deadlines import Deadlines


class FakeLog(LogWriter):
    """A request log that keeps its records in memory."""

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []
        self._arrived = asyncio.Event()

    @property
    def dropped(self) -> int:
        return 0

    def put(self, record: Struct) -> bytes:
        assert isinstance(record, RequestRecord)
        self.records.append(record)
        self._arrived.set()
        return b""

    async def next(self) -> RequestRecord:
        """Wait for the oldest record and take it."""
        while not self.records:
            self._arrived.clear()
            await self._arrived.wait()
        return self.records.pop(0)

    def close(self) -> None:
        pass


class FakeCarrier:
    """A carrier that records the calls of its leg, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.uploaded = b""
        self.takes_more = True

    def watch(self) -> None:
        self.calls.append("watch")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def cancel(self) -> None:
        self.calls.append("cancel")

    def write_upload(self, data: bytes) -> bool:
        self.uploaded += data
        return self.takes_more


class Rig:
    """An engine in front of scripted origins. `chat` is model `m` at each of them, in order."""

    def __init__(self, origins: Mapping[str, FakeOrigin], routing: Routing, network: Network, ledger: Ledger) -> None:
        loop = asyncio.get_running_loop()
        self.origins = origins
        self.log = FakeLog()
        self.deadlines = Deadlines(loop, resolution_s=0.01)
        key = ProviderKey("k1", Secret("sk-of-the-tests"))
        endpoints = {
            name: Endpoint(
                name=name,
                type="openai",
                origin=fake.origin,
                base_path="/v1",
                keys=(key,),
                operations=ALL_OPERATIONS,
                network=network,
            )
            for name, fake in origins.items()
        }
        targets = tuple(candidate(endpoint, "m") for endpoint in endpoints.values())
        models = {"chat": PublicModel(name="chat", targets=targets)}
        self.snapshot = Snapshot(
            digest="digest-of-the-tests",
            endpoints=endpoints,
            models=models,
            virtual_keys={},
            require_key=False,
            routing=routing,
        )
        self.live = Live(self.snapshot)
        upstreams = Upstreams(loop, self.deadlines)
        self.ledger = ledger
        billing = Billing(self.live, self.ledger, None, None)
        self.engine = Engine(
            live=self.live,
            upstreams=upstreams,
            request_metrics=RequestMetrics(self.log),
            billing=billing,
            rng=Random(1),
        )

    @property
    def request_counts(self) -> list[int]:
        """The number of requests that each origin has received, in order."""
        return [sum(peer.received.count(b" HTTP/1.1\r\n") for peer in fake.peers) for fake in self.origins.values()]


@asynccontextmanager
async def running_engine(
    *scripts: Script, routing: Routing | None = None, network: Network | None = None, ledger: Ledger | None = None
) -> AsyncIterator[Rig]:
    """Run an engine in front of one origin per script: `alpha`, `beta`, `gamma`. Fail at the end if an attempt
    or a reservation leaked."""
    async with AsyncExitStack() as stack:
        names = ("alpha", "beta", "gamma")[: len(scripts)]
        pairs = zip(names, scripts, strict=True)
        origins = {name: await stack.enter_async_context(serving(script)) for name, script in pairs}
        rig = Rig(origins, routing or Routing(strategy=Strategy("priority")), network or Network(), ledger or Ledger())
        try:
            yield rig
        finally:
            await rig.engine.upstreams.close()
            rig.deadlines.close()
        assert rig.live.in_progress == {}, "attempts were leaked"
        assert not rig.ledger.open_attempts, "reservations were leaked"
