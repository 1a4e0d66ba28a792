"""A race: the probe of a candidate beside the attempt that answers, over real sockets."""

import asyncio
from time import monotonic

import pytest
from msgspec.structs import replace

from fakes.engine import Rig, running_engine
from fakes.origin import Peer, run
from fakes.routing import ScriptedRandom
from pointsman.domain.calls import Facts
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Racing, Routing
from pointsman.domain.targets import Strategy
from pointsman.routing.decide import decide
from pointsman.routing.health import Condition
from pointsman.routing.pace import Pace
from pointsman.routing.paces import usual_s
from unit.engine.test_serve import CONTENT, OVERLOADED, STREAM_HEAD, begin, chat, chunk, whole

RACED = Routing(strategy=Strategy("adaptive"), racing=Racing(share=0.5))
BEGINNING = STREAM_HEAD + chunk(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n')
END = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
CANDIDATES = {"alpha": (0.1, 1.0), "beta": (0.5, 0.5), "gamma": (0.9, 0.9)}  # ratios: usually, and at last


class Staged:
    """A provider that sends one part of its answer whenever `next` is set. `closed` shows that it was cut off."""

    def __init__(self, *parts: bytes) -> None:
        self.requested, self.closed = asyncio.Event(), asyncio.Event()
        self._parts, self._gates = parts, [asyncio.Event() for _ in parts]

    def open(self, count: int) -> None:
        for gate in self._gates[:count]:
            gate.set()

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        self.requested.set()
        gone = asyncio.create_task(peer.wait_closed())
        for part, gate in zip(self._parts, self._gates, strict=True):
            await asyncio.wait([gone, asyncio.create_task(gate.wait())], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                break
            peer.send(part)
        await gone
        self.closed.set()


def suspect_alpha(rig: Rig) -> Pace:
    """Let alpha have been the best, then slow, then without an answer for some time. Return its pace."""
    live, request = rig.live, replace(chat(stream=True), snapshot=rig.live.snapshot)
    plan = decide(Facts(request), live, ScriptedRandom(0.5, 0.25), monotonic())
    assert isinstance(plan, Plan)
    until = monotonic() - 20
    for choice in plan.choices:
        usually, at_last = CANDIDATES[choice.candidate.endpoint.name]
        for number in range(60):
            at = until - 0.2 * (60 - number)
            ratio = usually if number < 50 else at_last
            name = f"{choice.candidate.id}{number}-1"
            tried = live.paces.started(plan, choice.candidate, request, name, at - ratio * usual_s(request))
            live.paces.content(tried, at)
            if choice.candidate.endpoint.name != "alpha" and number == 59:
                late = live.paces.started(plan, choice.candidate, request, f"{name}-late", monotonic() - 1)
                live.paces.content(late, monotonic() - 1 + ratio * usual_s(request))
    racing = live.snapshot.routing.racing
    assert racing is not None
    live.hedges.count(racing, "chat", is_rival=False)
    found = live.paces.find(plan.choices[0].candidate, "chat", stream=True)
    for choice in plan.choices:
        if choice.candidate.endpoint.name == "alpha":
            found = live.paces.find(choice.candidate, "chat", stream=True)
    assert found is not None
    return found


async def until(condition: object) -> None:
    assert callable(condition)
    while not condition():
        await asyncio.sleep(0.002)


def test_losing_probe_runs_to_its_first_content_and_is_learned_from() -> None:
    async def main() -> None:
        alpha, beta = Staged(BEGINNING, chunk(CONTENT)), Staged(STREAM_HEAD + chunk(CONTENT), END)
        async with running_engine(alpha, beta, routing=RACED) as rig:
            pace = suspect_alpha(rig)
            rig.live.conditions["alpha/m"] = Condition(3, 1, blocked_until=monotonic() - 1)
            before = pace.recent_at
            _, client = begin(rig, chat(stream=True))
            await alpha.requested.wait()
            await beta.requested.wait()
            beta.open(1)
            await until(lambda: client.body)
            assert rig.live.in_progress == {"alpha/m": 1, "beta/m": 1}, "the probe goes on"
            alpha.open(2)
            await alpha.closed.wait()
            assert rig.live.in_progress == {"beta/m": 1}
            assert pace.recent_at != before, "its time is known"
            assert "alpha/m" not in rig.live.conditions, "its content ends the fault"
            beta.open(2)
            record = await rig.log.next()
            assert (client.status, client.body) == (200, CONTENT + b"data: [DONE]\n\n")
            assert client.headers[b"x-pointsman-attempts"] == b"2"
            assert b'race;desc="alpha/m";dur=' in client.headers[b"server-timing"]
            found = [(one.provider, one.outcome, one.race, one.hedge) for one in record.attempts]
            assert found == [("alpha", "superseded", True, False), ("beta", "ok", False, False)]
            assert rig.engine.request_metrics.races.series("alpha", "m", "lost").value == 1
            assert rig.ledger.open_attempts == 0

    run(main())


def test_probe_without_content_ends_with_the_answer() -> None:
    async def main() -> None:
        alpha, beta = Staged(BEGINNING, chunk(CONTENT)), Staged(STREAM_HEAD + chunk(CONTENT) + END)
        async with running_engine(alpha, beta, routing=RACED) as rig:
            suspect_alpha(rig)
            _, client = begin(rig, chat(stream=True))
            await alpha.requested.wait()
            alpha.open(1)
            await beta.requested.wait()
            beta.open(1)
            record = await rig.log.next()
            await alpha.closed.wait()
            assert client.body == CONTENT + b"data: [DONE]\n\n"
            assert {one.provider: one.outcome for one in record.attempts} == {"alpha": "superseded", "beta": "ok"}
            assert (rig.live.in_progress, rig.ledger.open_attempts) == ({}, 0)

    run(main())


@pytest.mark.parametrize("has_events", [True, False])
def test_winning_probe_serves_the_client(has_events: bool) -> None:
    """Some providers answer a request for a stream as a whole."""

    async def main() -> None:
        answer = STREAM_HEAD + chunk(CONTENT) + END if has_events else whole()
        alpha, beta = Staged(answer), Staged(answer)
        async with running_engine(alpha, beta, routing=RACED) as rig:
            suspect_alpha(rig)
            _, client = begin(rig, chat(stream=True))
            await beta.requested.wait()
            await alpha.requested.wait()
            alpha.open(1)
            record = await rig.log.next()
            await beta.closed.wait()
            assert client.headers[b"x-pointsman-provider"] == b"alpha"
            assert {one.provider: one.outcome for one in record.attempts} == {"alpha": "ok", "beta": "superseded"}
            assert rig.engine.request_metrics.races.series("alpha", "m", "won").value == 1

    run(main())


def test_successor_joins_if_the_best_candidate_fails_beside_a_silent_probe() -> None:
    async def main() -> None:
        answer = STREAM_HEAD + chunk(CONTENT) + END
        alpha, beta, gamma = Staged(answer), Staged(OVERLOADED), Staged(answer)
        async with running_engine(alpha, beta, gamma, routing=RACED) as rig:
            suspect_alpha(rig)
            _, client = begin(rig, chat(stream=True))
            await alpha.requested.wait()
            await beta.requested.wait()
            beta.open(1)
            await gamma.requested.wait()
            gamma.open(1)
            record = await rig.log.next()
            assert client.headers[b"x-pointsman-provider"] == b"gamma"
            outcomes = {one.provider: one.outcome for one in record.attempts}
            assert outcomes == {"alpha": "superseded", "beta": "upstream_error", "gamma": "ok"}

    run(main())


def test_disconnect_of_the_client_ends_the_probe_too() -> None:
    async def main() -> None:
        alpha, beta = Staged(BEGINNING), Staged(STREAM_HEAD + chunk(CONTENT), END)
        async with running_engine(alpha, beta, routing=RACED) as rig:
            suspect_alpha(rig)
            exchange, client = begin(rig, chat(stream=True))
            await alpha.requested.wait()
            await beta.requested.wait()
            beta.open(1)
            await until(lambda: client.body)
            client.disconnect(exchange)
            await alpha.closed.wait()
            await beta.closed.wait()
            assert (rig.live.in_progress, rig.ledger.open_attempts) == ({}, 0)

    run(main())
