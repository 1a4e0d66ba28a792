"""Copies of requests in one engine: their number is bounded, and they end with the worker."""

import asyncio

import pytest
from msgspec.structs import replace

from fakes.engine import Rig, running_engine
from fakes.money import limit
from fakes.origin import Peer, run
from pointsman.domain.snapshots import Mirror, PublicModel
from pointsman.engine import mirror as module
from pointsman.engine.handle import PublicApi
from unit.engine.test_serve import answering, begin, chat, whole

MIRROR = Mirror("chat", "beta/m", 1.0, (limit("requests", 1000, level="mirror", name="chat"),))


def mirror_to_beta(rig: Rig) -> None:
    chosen = rig.snapshot.models["chat"]
    alone = PublicModel(name="chat", targets=chosen.targets[:1], mirror=MIRROR)
    rig.live.swap(replace(rig.snapshot, models={"chat": alone}))


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.wait_closed()


def test_copies_beyond_the_bound_are_skipped_and_those_in_progress_end_with_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_COPIES", 2)

    async def main() -> None:
        async with running_engine(answering(*[whole()] * 5), silent) as rig:
            mirror_to_beta(rig)
            for _ in range(5):
                begin(rig, chat())
                assert (await rig.log.next()).status == 200
            while rig.request_counts[1] < 2:
                await asyncio.sleep(0.001)
            assert rig.live.in_progress == {"beta/m": 2}
            assert len(rig.engine.copies) == 2
            PublicApi(rig.engine).close()
            ended = [await rig.log.next() for _ in range(2)]
            assert [one.code for one in ended] == ["shutting_down"] * 2
            assert all(one.mirror_of for one in ended)
            assert rig.live.in_progress == {}
            await asyncio.sleep(0.01)
            assert rig.request_counts == [5, 2]

    run(main())


def test_slow_copy_does_not_delay_the_client() -> None:
    async def main() -> None:
        async with running_engine(answering(whole()), silent) as rig:
            mirror_to_beta(rig)
            _, client = begin(rig, chat())
            assert (await rig.log.next()).status == 200
            assert client.ended == "finished"
            PublicApi(rig.engine).close()
            assert (await rig.log.next()).mirror_of

    run(main())
