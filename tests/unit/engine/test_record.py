"""The record of a request has its provider, its times and its cost."""

import asyncio
from types import SimpleNamespace
from typing import cast

from fakes.engine import running_engine
from fakes.origin import Peer, run
from pointsman.domain.outcomes import Usage
from pointsman.domain.records import RequestRecord
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.record import note_answer
from unit.engine.test_serve import BODY, OVERLOADED, answering, begin, chat, whole


def noted(*, is_stream: bool, events: int, committed_at: float | None = 100.5, usage: Usage | None) -> RequestRecord:
    answer = SimpleNamespace(
        bytes_in=900, committed_at=committed_at, events=events, is_stream=is_stream, used=lambda: usage
    )
    record = RequestRecord(time=1.0, request_id="id", method="POST", path="/", status=200)
    note_answer(record, cast("AnswerReceiver", answer), 100.0, 101.5)
    return record


def test_record_of_a_stream_has_its_first_content_and_event_gap() -> None:
    record = noted(is_stream=True, events=5, usage=None)
    assert (record.ttft_us, record.token_gap_us, record.bytes_out) == (500_000, 250_000, 900)


def test_stream_with_one_event_has_no_token_gap() -> None:
    record = noted(is_stream=True, events=1, usage=None)
    assert (record.ttft_us, record.token_gap_us) == (500_000, None)


def test_whole_or_empty_answer_has_no_stream_times() -> None:
    for record in (
        noted(is_stream=False, events=0, usage=None),
        noted(is_stream=True, events=0, committed_at=None, usage=None),
    ):
        assert (record.ttft_us, record.token_gap_us, record.tokens_in) == (None, None, None)


def test_record_has_every_class_of_tokens() -> None:
    usage = Usage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "flex")
    record = noted(is_stream=False, events=0, usage=usage)
    classes = [name for name in Usage.__struct_fields__ if name not in ("tools", "units")]
    assert [getattr(record, name) for name in classes] == [getattr(usage, name) for name in classes]


def test_answer_reaches_client_log_and_metrics() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            exchange, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, client.body, client.ended) == (200, BODY, "finished")
            assert client.headers[b"x-pointsman-provider"] == b"alpha"
            assert client.headers[b"x-pointsman-attempts"] == b"1"
            assert client.headers[b"openai-version"] == b"1"
            assert b"set-cookie" not in client.headers
            assert (record.status, record.code, record.virtual_key, record.operation) == (200, None, "me", "chat")
            assert (record.provider, record.upstream_model, record.key) == ("alpha", "m", "k1")
            assert (record.tokens_in, record.tokens_out, record.bytes_out) == (7, 2, len(BODY))
            assert [(one.provider, one.outcome, one.status) for one in record.attempts] == [("alpha", "ok", 200)]
            assert {labels: one.value for labels, one in rig.engine.request_metrics.attempts.by_labels.items()} == {
                ("alpha", "m", "ok"): 1
            }
            assert exchange.on_cancel is exchange.on_drain is None, "no reference keeps the request alive"

    run(main())


def test_time_of_attempts_is_not_gateway_time() -> None:
    async def main() -> None:
        async def slow(peer: Peer) -> None:
            await peer.request()
            await asyncio.sleep(0.05)
            peer.send(OVERLOADED)
            await peer.wait_closed()

        async with running_engine(slow, answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert record.duration_us > 50_000
            assert record.gateway_us < record.duration_us - 50_000
            name, _, value = client.headers[b"server-timing"].partition(b";dur=")
            assert name == b"gateway"
            assert 0 < float(value) * 1e3 <= record.gateway_us
            first, second = record.attempts
            assert first.duration_us > 50_000
            assert second.start_us >= first.start_us + first.duration_us

    run(main())
