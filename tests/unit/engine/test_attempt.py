"""The attempts of a request: settled once each, also when two of them run at once."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.engine import engine_before
from fakes.journal import read_all
from fakes.money import PLAIN, limit
from fakes.origin import Peer, run
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import Grant, LeaseRequest, LeaseUnavailable
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing
from pointsman.engine import attempt as module
from pointsman.engine import billing
from pointsman.engine import serve as serving
from pointsman.engine.receiver import AnswerReceiver
from pointsman.journal.records import Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.routing.admit import Admission
from pointsman.routing.decide import decide
from pointsman.routing.view import Dice, View
from unit.engine.test_serve import BODY, CONTENT, OVERLOADED, STREAM_HEAD, answering, begin, chat, chunk, whole

PRICED = Pricing("deny", (PriceOverride(model="*", owner=None, price=PLAIN),))


@pytest.mark.parametrize("broken", ["AnswerReceiver", "PROVIDERS"])
def test_whatever_fails_at_the_start_of_an_attempt_nothing_stays_reserved(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what no test could think of: nothing that may fail stands between a reservation and its end."""

    async def main() -> None:
        monkeypatch.setattr(module, broken, {})  # neither to be called nor to be asked
        async with engine_before(answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (500, "internal_error")
            assert rig.ledger.open_attempts == 0

    run(main())


def test_an_attempt_whose_cost_cannot_be_worked_out_is_charged_its_reservation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        monkeypatch.setattr(billing, "charge_for", None)
        async with engine_before(answering(whole())) as rig:
            rig.live.swap(replace(rig.snapshot, pricing=PRICED))
            _, client = begin(rig, chat(max_tokens=100), ME)
            record = await rig.log.next()
            assert (client.status, client.body) == (200, BODY)
            assert (rig.ledger.open_attempts, rig.live.in_progress) == (0, {})
            assert record.attempts[0].usage_source == "reserved"
            assert rig.ledger.account((BUDGET,)).counters[0].window.settled == record.cost_nano > 0

    run(main())
    assert "its reservation is charged" in caplog.text


@pytest.mark.parametrize("broken", ["_on_whole", "_fail_by_status"])
def test_an_attempt_ends_when_the_end_of_its_answer_cannot_be_handled(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection has parted from it by then, so nothing else would ever end it."""

    async def main() -> None:
        monkeypatch.setattr(AnswerReceiver, broken, None)
        answer = whole() if broken == "_on_whole" else OVERLOADED
        async with engine_before(answering(answer), routing=Routing(max_attempts=1)) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (500, "internal_error")
            assert rig.ledger.open_attempts == 0

    run(main())
    assert "the end of an answer cannot be processed" in caplog.text


# Two attempts at once. No configuration makes such a plan yet.

HEDGE_S = 0.05
GOOD_STREAM = (CONTENT, b"data: [DONE]\n\n")
BUDGET = limit("usd", 10**12)
ME = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,)))


class Origin:
    """A provider that waits for a word before it answers. `asked` and `left` tell what it has seen."""

    def __init__(self, *answer: bytes) -> None:
        self.asked, self.word, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._answer = answer

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        self.asked.set()
        gone = asyncio.create_task(peer.gone())
        await asyncio.wait([gone, asyncio.create_task(self.word.wait())], return_when=asyncio.FIRST_COMPLETED)
        if not gone.done():
            peer.send(*self._answer)
        await gone
        self.left.set()


def hedged(monkeypatch: pytest.MonkeyPatch, after_s: float = HEDGE_S) -> None:
    """Have every plan start a second attempt beside one that takes longer."""

    def decided(facts: Facts, view: View, rng: Dice, now: float) -> Plan | Failure:
        plan = decide(facts, view, rng, now)
        return replace(plan, hedge_after_s=after_s) if isinstance(plan, Plan) else plan

    monkeypatch.setattr(serving, "decide", decided)


def answer_of(*, stream: bool) -> bytes:
    return STREAM_HEAD + b"".join(map(chunk, GOOD_STREAM)) + b"0\r\n\r\n" if stream else whole()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("winner", ["alpha", "beta"])
def test_of_two_attempts_one_answers_and_both_are_settled(
    winner: str, stream: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def main() -> None:
        hedged(monkeypatch)
        alpha, beta = Origin(answer_of(stream=stream)), Origin(answer_of(stream=stream))
        async with engine_before(alpha, beta) as rig:
            rig.live.swap(replace(rig.snapshot, pricing=PRICED))
            writer = rig.engine.billing.journal = JournalWriter(tmp_path, 0, 1, segment_bytes=1 << 16)
            _, client = begin(rig, chat(stream=stream), ME)
            await beta.asked.wait()
            assert rig.live.in_progress == {"alpha/m": 1, "beta/m": 1}
            assert rig.ledger.open_attempts == 2
            first, second = (alpha, beta) if winner == "alpha" else (beta, alpha)
            first.word.set()
            record = await rig.log.next()
            await second.left.wait()
            assert not second.word.is_set(), "its provider saw the disconnect before it had answered"
            assert (client.status, client.ended) == (200, "finished")
            assert client.body == (b"".join(GOOD_STREAM) if stream else BODY)
            assert client.headers[b"x-pointsman-provider"] == winner.encode()
            assert client.headers[b"x-pointsman-attempts"] == b"2"
            assert (record.status, record.code, record.provider) == (200, None, winner)
            assert record.gateway_us < record.duration_us - HEDGE_S * 1e6 * 0.9, "the time of both is counted once"
            outcomes = {one.provider: one.outcome for one in record.attempts}
            assert outcomes == {winner: "ok", ({"alpha", "beta"} - {winner}).pop(): "superseded"}
            assert not rig.live.conditions, "it is nobody's fault"
            writer.close()
            records, _, _ = read_all(writer.folder)
            settled = [one for one in records if isinstance(one, Outcome)]
            assert sorted((one.request_id, one.ordinal) for one in settled) == [("id-1", 1), ("id-1", 2)]
            assert {one.outcome for one in settled} == {"ok", "superseded"}
            held = sum(one.cost_nano + one.held_nano for one in record.attempts)
            assert rig.ledger.account((BUDGET,)).counters[0].window.settled == held
            (loser,) = [one for one in record.attempts if one.outcome == "superseded"]
            assert loser.usage_source == "estimated", "it is charged as an answer that was broken off"
            assert loser.cost_nano > 0

    run(main())


def test_a_client_that_leaves_takes_both_attempts_along(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hedged(monkeypatch)
        alpha, beta = Origin(whole()), Origin(whole())
        async with engine_before(alpha, beta) as rig:
            exchange, client = begin(rig, chat())
            await beta.asked.wait()
            client.leave(exchange)
            assert (rig.live.in_progress, rig.ledger.open_attempts) == ({}, 0)
            record = await rig.log.next()
            await alpha.left.wait()
            await beta.left.wait()
            assert record.status == 499
            assert [one.outcome for one in record.attempts] == ["client_disconnected"] * 2

    run(main())


@pytest.mark.parametrize("is_first", [True, False])
def test_the_other_attempt_goes_on_when_one_fails(is_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hedged(monkeypatch)
        failing, good = Origin(OVERLOADED), Origin(whole())
        async with engine_before(*((failing, good) if is_first else (good, failing))) as rig:
            _, client = begin(rig, chat())
            await failing.asked.wait()
            await good.asked.wait()
            failing.word.set()
            while len(rig.live.in_progress) == 2:
                await asyncio.sleep(0.001)
            assert client.written == b""
            good.word.set()
            record = await rig.log.next()
            assert client.status == 200
            assert [one.outcome for one in record.attempts] == ["upstream_error", "ok"]

    run(main())


def test_failover_goes_on_when_both_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hedged(monkeypatch)
        alpha, beta = Origin(OVERLOADED), Origin(OVERLOADED)
        async with engine_before(alpha, beta, answering(whole())) as rig:
            _, client = begin(rig, chat())
            await beta.asked.wait()
            alpha.word.set()
            beta.word.set()
            record = await rig.log.next()
            assert (client.status, record.provider) == (200, "gamma")
            assert [one.outcome for one in record.attempts][-1] == "ok"
            assert {one.provider for one in record.attempts} == {"alpha", "beta", "gamma"}

    run(main())


def test_an_attempt_made_again_beside_its_rival_waits_for_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the rival would answer meanwhile, and the other one would begin a second answer after it."""

    async def main() -> None:
        hedged(monkeypatch)
        beta = Origin(STREAM_HEAD + b"".join(map(chunk, GOOD_STREAM)) + b"0\r\n\r\n")

        async def alpha(peer: Peer) -> None:
            await peer.answer(whole())
            await peer.request()
            await beta.asked.wait()
            peer.close()  # a kept-alive connection that ends as it is used

        class NoLessor:
            asked = 0

            def ask(
                self, wants: Sequence[LeaseRequest], answered: Callable[[Sequence[Grant] | LeaseUnavailable], None]
            ) -> None:
                self.asked += 1
                beta.word.set()

        async with engine_before(alpha, beta) as rig:
            attempts = replace(limit("requests", 3), level="entry")
            thrice = Admission(VirtualKey(name="me", digest=b"", limits=(attempts,)))
            begin(rig, chat(), thrice)
            await rig.log.next()
            rig.engine.billing.lease_client = lease_client = NoLessor()
            _, client = begin(rig, chat(stream=True), thrice)
            await beta.asked.wait()
            while len(rig.live.in_progress) == 2:
                await asyncio.sleep(0.001)
            beta.word.set()
            record = await rig.log.next()
            assert (lease_client.asked, client.status, client.body) == (0, 200, b"".join(GOOD_STREAM))
            assert [one.outcome for one in record.attempts] == ["connection_stale", "ok"]

    run(main())


@pytest.mark.parametrize("alone", ["committed", "stateful", "only_attempt", "no_room"])
def test_an_attempt_has_no_rival_where_none_could_help(alone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hedged(monkeypatch)
        stream = alone == "committed"
        parts = (STREAM_HEAD, chunk(CONTENT)) if stream else (whole(),)
        alpha = Origin(*parts)
        routing = Routing(max_attempts=1) if alone == "only_attempt" else Routing()
        async with engine_before(alpha, answering(whole()), routing=routing) as rig:
            rig.live.swap(replace(rig.snapshot, pricing=PRICED))
            me = ME
            if alone == "no_room":
                once = replace(limit("requests", 1), level="entry")  # which counts attempts
                me = Admission(VirtualKey(name="me", digest=b"", limits=(once,)))
            begin(rig, replace(chat(stream=stream), stateful=alone == "stateful"), me)
            if stream:
                alpha.word.set()
            await alpha.asked.wait()
            await asyncio.sleep(HEDGE_S * 2)
            assert rig.asked == [1, 0]
            alpha.word.set()
            if not stream:
                assert (await rig.log.next()).status == 200
            else:
                for peer in rig.origins["alpha"].peers:
                    peer.send(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
                assert (await rig.log.next()).status == 200

    run(main())
