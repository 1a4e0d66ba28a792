"""Two attempts of a request at once: one answers, and both are settled."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.engine import running_engine
from fakes.journal import read_all
from fakes.money import PLAIN, limit
from fakes.origin import Peer, run
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import Grant, LeaseRequest, LeaseUnavailable
from pointsman.domain.snapshots import Hedging, PriceOverride, Pricing, Routing
from pointsman.journal.records import Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.routing.admit import Admission
from unit.engine.test_serve import BODY, CONTENT, OVERLOADED, STREAM_HEAD, answering, begin, chat, chunk, whole

PRICED = Pricing("deny", (PriceOverride(model="*", owner=None, price=PLAIN),))
HEDGE_S = 0.05
HEDGED = Routing(hedging=Hedging(after_s=HEDGE_S))
GOOD_STREAM = (CONTENT, b"data: [DONE]\n\n")
BUDGET = limit("usd", 10**12)
ME = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,)))


class Origin:
    """A provider that answers when `may_answer` is set. The events `requested` and `closed` show its progress."""

    def __init__(self, *answer: bytes) -> None:
        self.requested, self.may_answer, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._answer = answer

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        self.requested.set()
        gone = asyncio.create_task(peer.wait_closed())
        await asyncio.wait([gone, asyncio.create_task(self.may_answer.wait())], return_when=asyncio.FIRST_COMPLETED)
        if not gone.done():
            peer.send(*self._answer)
        await gone
        self.closed.set()


def answer_of(*, stream: bool) -> bytes:
    return STREAM_HEAD + b"".join(map(chunk, GOOD_STREAM)) + b"0\r\n\r\n" if stream else whole()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("winner", ["alpha", "beta"])
def test_one_of_two_attempts_answers_and_both_are_settled(winner: str, stream: bool, tmp_path: Path) -> None:
    async def main() -> None:
        alpha, beta = Origin(answer_of(stream=stream)), Origin(answer_of(stream=stream))
        async with running_engine(alpha, beta, routing=HEDGED) as rig:
            rig.live.swap(replace(rig.snapshot, pricing=PRICED))
            writer = rig.engine.billing.journal = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 16)
            _, client = begin(rig, chat(stream=stream), ME)
            await beta.requested.wait()
            assert rig.live.in_progress == {"alpha/m": 1, "beta/m": 1}
            assert rig.ledger.open_attempts == 2
            first, second = (alpha, beta) if winner == "alpha" else (beta, alpha)
            first.may_answer.set()
            record = await rig.log.next()
            await second.closed.wait()
            assert not second.may_answer.is_set(), "the provider sees the disconnect before it answers"
            assert (client.status, client.ended) == (200, "finished")
            assert client.body == (b"".join(GOOD_STREAM) if stream else BODY)
            assert client.headers[b"x-pointsman-provider"] == winner.encode()
            assert client.headers[b"x-pointsman-attempts"] == b"2"
            assert (record.status, record.code, record.provider) == (200, None, winner)
            assert record.gateway_us < record.duration_us - HEDGE_S * 1e6 * 0.9, "simultaneous time is counted once"
            outcomes = {one.provider: one.outcome for one in record.attempts}
            assert outcomes == {winner: "ok", ({"alpha", "beta"} - {winner}).pop(): "superseded"}
            assert not rig.live.conditions, "no provider is at fault"
            writer.close()
            records, _, _ = read_all(writer.folder)
            settled = [one for one in records if isinstance(one, Outcome)]
            assert sorted((one.request_id, one.ordinal) for one in settled) == [("id-1", 1), ("id-1", 2)]
            assert {one.outcome for one in settled} == {"ok", "superseded"}
            held = sum(one.cost_nano + one.held_nano for one in record.attempts)
            assert rig.ledger.account((BUDGET,)).counters[0].window.settled == held
            (loser,) = [one for one in record.attempts if one.outcome == "superseded"]
            assert loser.usage_source == "estimated", "it is charged as a truncated answer"
            assert loser.cost_nano > 0

    run(main())


def test_disconnect_of_the_client_cancels_both_attempts() -> None:
    async def main() -> None:
        alpha, beta = Origin(whole()), Origin(whole())
        async with running_engine(alpha, beta, routing=HEDGED) as rig:
            exchange, client = begin(rig, chat())
            await beta.requested.wait()
            client.disconnect(exchange)
            assert (rig.live.in_progress, rig.ledger.open_attempts) == ({}, 0)
            record = await rig.log.next()
            await alpha.closed.wait()
            await beta.closed.wait()
            assert record.status == 499
            assert [one.outcome for one in record.attempts] == ["client_disconnected"] * 2

    run(main())


@pytest.mark.parametrize("is_first", [True, False])
def test_second_attempt_continues_when_the_first_fails(is_first: bool) -> None:
    async def main() -> None:
        failing, good = Origin(OVERLOADED), Origin(whole())
        async with running_engine(*((failing, good) if is_first else (good, failing)), routing=HEDGED) as rig:
            _, client = begin(rig, chat())
            await failing.requested.wait()
            await good.requested.wait()
            failing.may_answer.set()
            while len(rig.live.in_progress) == 2:
                await asyncio.sleep(0.001)
            assert client.written == b""
            good.may_answer.set()
            record = await rig.log.next()
            assert client.status == 200
            assert [one.outcome for one in record.attempts] == ["upstream_error", "ok"]

    run(main())


def test_failover_continues_when_both_attempts_fail() -> None:
    async def main() -> None:
        alpha, beta = Origin(OVERLOADED), Origin(OVERLOADED)
        async with running_engine(alpha, beta, answering(whole()), routing=HEDGED) as rig:
            _, client = begin(rig, chat())
            await beta.requested.wait()
            alpha.may_answer.set()
            beta.may_answer.set()
            record = await rig.log.next()
            assert (client.status, record.provider) == (200, "gamma")
            assert [one.outcome for one in record.attempts][-1] == "ok"
            assert {one.provider for one in record.attempts} == {"alpha", "beta", "gamma"}

    run(main())


def test_retry_beside_another_attempt_does_not_wait_for_room() -> None:
    """Otherwise the other attempt would answer meanwhile, and this one would begin a second answer."""

    async def main() -> None:
        beta = Origin(STREAM_HEAD + b"".join(map(chunk, GOOD_STREAM)) + b"0\r\n\r\n")

        async def alpha(peer: Peer) -> None:
            await peer.answer(whole())
            await peer.request()
            await beta.requested.wait()
            peer.close()  # a kept-alive connection that closes when it is reused

        class RecordingLeaseClient:
            asked = 0

            def ask(
                self, requests: Sequence[LeaseRequest], on_answer: Callable[[Sequence[Grant] | LeaseUnavailable], None]
            ) -> None:
                self.asked += 1
                beta.may_answer.set()

        async with running_engine(alpha, beta, routing=HEDGED) as rig:
            attempts = replace(limit("requests", 3), level="entry")
            thrice = Admission(VirtualKey(name="me", digest=b"", limits=(attempts,)))
            begin(rig, chat(), thrice)
            await rig.log.next()
            rig.engine.billing.lease_client = lease_client = RecordingLeaseClient()
            _, client = begin(rig, chat(stream=True), thrice)
            await beta.requested.wait()
            while len(rig.live.in_progress) == 2:
                await asyncio.sleep(0.001)
            beta.may_answer.set()
            record = await rig.log.next()
            assert (lease_client.asked, client.status, client.body) == (0, 200, b"".join(GOOD_STREAM))
            assert [one.outcome for one in record.attempts] == ["connection_stale", "ok"]

    run(main())


@pytest.mark.parametrize("alone", ["committed", "stateful", "only_attempt", "no_room"])
def test_hedge_is_not_started_if_it_cannot_help(alone: str) -> None:
    async def main() -> None:
        stream = alone == "committed"
        parts = (STREAM_HEAD, chunk(CONTENT)) if stream else (whole(),)
        alpha = Origin(*parts)
        routing = replace(HEDGED, max_attempts=1) if alone == "only_attempt" else HEDGED
        async with running_engine(alpha, answering(whole()), routing=routing) as rig:
            rig.live.swap(replace(rig.snapshot, pricing=PRICED))
            me = ME
            if alone == "no_room":
                once = replace(limit("requests", 1), level="entry")  # counts attempts
                me = Admission(VirtualKey(name="me", digest=b"", limits=(once,)))
            begin(rig, replace(chat(stream=stream), stateful=alone == "stateful"), me)
            if stream:
                alpha.may_answer.set()
            await alpha.requested.wait()
            await asyncio.sleep(HEDGE_S * 2)
            assert rig.request_counts == [1, 0]
            alpha.may_answer.set()
            if not stream:
                assert (await rig.log.next()).status == 200
            else:
                for peer in rig.origins["alpha"].peers:
                    peer.send(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
                assert (await rig.log.next()).status == 200

    run(main())


def test_each_request_earns_its_share_of_a_rival_once() -> None:
    """However many attempts it needs, since providers that fail must not multiply rivals."""

    async def main() -> None:
        hedging = Hedging(after_s=60.0, share=0.25)
        routing = replace(HEDGED, hedging=hedging)
        failing = answering(*[OVERLOADED] * 4)
        async with running_engine(failing, failing, answering(*[whole()] * 4), routing=routing) as rig:
            for _ in range(3):
                begin(rig, chat())
                assert (await rig.log.next()).status == 200
            hedges = rig.live.hedges
            rivals = 0
            while hedges.may_start(hedging, "chat"):
                hedges.count(hedging, "chat", is_rival=True)
                rivals += 1
            assert rivals == 1, "one to begin with, and three quarters"

    run(main())
