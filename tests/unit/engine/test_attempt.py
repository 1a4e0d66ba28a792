"""The attempts of a request are settled exactly once, even if two of them run at once."""

import pytest
from msgspec.structs import replace

from fakes.engine import running_engine
from fakes.money import PLAIN, limit
from fakes.origin import run
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import PriceOverride, Pricing, PublicModel, Routing
from pointsman.domain.targets import candidate
from pointsman.domain.tracing import span_id_of
from pointsman.engine import attempt as module
from pointsman.engine import billing
from pointsman.engine.receiver import AnswerReceiver
from pointsman.routing.admit import Admission
from unit.engine.test_serve import BODY, OVERLOADED, answering, begin, chat, whole

PRICED = Pricing("deny", (PriceOverride(model="*", owner=None, price=PLAIN),))


@pytest.mark.parametrize("broken", ["AnswerReceiver", "codec_for"])
def test_error_at_the_start_of_an_attempt_leaves_no_reservation(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No code that may raise runs between a reservation and its settlement."""

    async def main() -> None:
        monkeypatch.setattr(module, broken, {})  # it can neither be called nor be looked up in
        async with running_engine(answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (500, "internal_error")
            assert rig.ledger.open_attempts == 0

    run(main())


def test_attempt_with_an_uncomputable_cost_is_charged_its_reservation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        monkeypatch.setattr(billing, "charge_for", None)
        async with running_engine(answering(whole())) as rig:
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
def test_attempt_ends_if_handling_the_end_of_its_answer_raises(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection has already released the attempt, so nothing else would end it."""

    async def main() -> None:
        monkeypatch.setattr(AnswerReceiver, broken, None)
        answer = whole() if broken == "_on_whole" else OVERLOADED
        async with running_engine(answering(answer), routing=Routing(max_attempts=1)) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (500, "internal_error")
            assert rig.ledger.open_attempts == 0

    run(main())
    assert "the end of an answer cannot be processed" in caplog.text


def test_only_providers_that_get_the_trace_receive_it() -> None:
    async def main() -> None:
        async with running_engine(answering(OVERLOADED), answering(whole())) as rig:
            endpoints = {name: replace(one, sends_trace=name == "beta") for name, one in rig.snapshot.endpoints.items()}
            targets = tuple(candidate(one, "m") for one in endpoints.values())
            models = {"chat": PublicModel(name="chat", targets=targets)}
            rig.live.swap(replace(rig.snapshot, endpoints=endpoints, models=models))
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert client.status == 200
            assert [one.ordinal for one in record.attempts] == [0, 0]
            alpha, beta = (one.peers[0].received.lower() for one in rig.origins.values())
            assert b"traceparent" not in alpha
            assert f"traceparent: 00-id1-{span_id_of('id-1', 2)}-00\r\n".encode() in beta
            assert b"tracestate" not in beta

    run(main())


BUDGET = limit("usd", 10**12)
ME = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,)))
