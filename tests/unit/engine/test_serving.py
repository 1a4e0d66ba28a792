"""One request from its call to its account, before scripted providers."""

import asyncio
import json
from collections.abc import Callable, Sequence
from time import time
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.engine import Rig, engine_before
from fakes.exchange import FakeClient, exchange_of
from fakes.money import limit
from fakes.origin import Peer, Script, run
from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import NO_SHARE, Unable, Want
from pointsman.domain.leases import Grant as Lease
from pointsman.domain.limits import Metric
from pointsman.domain.network import Network
from pointsman.domain.plans import Health
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing, Timeouts
from pointsman.engine import serving as module
from pointsman.engine.billing import MIN_OUTPUT
from pointsman.engine.serving import Cancelled, Serving
from pointsman.engine.tasks import EagerTask, Waiter
from pointsman.money.leases import LeaseBook
from pointsman.money.ledger import Ledger
from pointsman.routing.admit import Grant
from pointsman.transport.http_exchange import Exchange

BODY = b'{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}'
CONTENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ME = Grant(VirtualKey(name="me", digest=b""))


def whole(body: bytes = BODY, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + b"Set-Cookie: a=b\r\nOpenAI-Version: 1\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


BAD_KEY = whole(b'{"error":{"message":"no such key"}}', b"401 Unauthorized")
OVERLOADED = whole(b'{"error":{"message":"too busy"}}', b"500 Internal Server Error")
BAD_REQUEST = whole(b'{"error":{"message":"no such field","type":"invalid_request_error"}}', b"400 Bad Request")


def answering(*parts: bytes) -> Script:
    """Answers every request with these bytes."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(*parts)

    return script


def chat(**fields: Any) -> Call:
    return parse({"model": "chat", "messages": [{"role": "user", "content": "hi"}], **fields})


def begin(rig: Rig, call: Call, me: Grant = ME) -> tuple[Exchange, FakeClient]:
    """Start to serve a call as the gateway does."""
    exchange, client = exchange_of()
    call = replace(call, snapshot=rig.live.snapshot)
    task = EagerTask(Serving(rig.engine, exchange, call, me, "id-1").run(), Cancelled)
    exchange.on_cancel = task.cancel
    task.resume()
    return exchange, client


def test_an_answer_reaches_client_log_and_metrics() -> None:
    async def main() -> None:
        async with engine_before(answering(whole())) as rig:
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
            assert {labels: one.value for labels, one in rig.engine.accounts.attempts.by_labels.items()} == {
                ("alpha", "m", "ok"): 1
            }
            assert exchange.on_cancel is exchange.on_drain is None, "nothing is left to hold the request"

    run(main())


def test_the_time_providers_take_is_not_the_gateways_own() -> None:
    async def main() -> None:
        async def slow(peer: Peer) -> None:
            await peer.request()
            await asyncio.sleep(0.05)
            peer.send(OVERLOADED)
            await peer.gone()

        async with engine_before(slow, answering(whole())) as rig:
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


@pytest.mark.parametrize("stream", [False, True])
def test_failover_is_unseen_but_for_the_headers(stream: bool) -> None:
    async def main() -> None:
        good = STREAM_HEAD + chunk(CONTENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n" if stream else whole()
        dying = STREAM_HEAD + chunk(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n') if stream else OVERLOADED

        async def die(peer: Peer) -> None:
            await peer.answer(dying)

        async with engine_before(die, answering(good)) as rig:
            _, client = begin(rig, chat(stream=stream))
            record = await rig.log.next()
            assert client.body == (CONTENT + b"data: [DONE]\n\n" if stream else BODY)
            assert (client.status, client.ended) == (200, "finished")
            assert client.headers[b"x-pointsman-provider"] == b"beta"
            assert client.headers[b"x-pointsman-attempts"] == b"2"
            assert [one.provider for one in record.attempts] == ["alpha", "beta"]
            assert (record.code, record.provider) == (None, "beta")
            assert (record.ttft_us is not None, record.dialect) == (stream, "openai")
            assert rig.live.conditions["alpha/m"].health(0.0) is Health.DEGRADED
            assert "beta/m" not in rig.live.conditions

    run(main())


def test_when_nothing_is_left_the_client_is_told_everything() -> None:
    async def main() -> None:
        async with engine_before(answering(OVERLOADED), answering(OVERLOADED), routing=Routing(max_attempts=2)) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, client.ended) == (502, "finished")
            assert client.headers[b"x-should-retry"] == b"false"
            error = json.loads(client.body)["error"]
            assert error["message"].startswith("all 2 attempts failed")
            assert "alpha/m" in error["message"]
            assert "beta/m" in error["message"]
            assert error["message"].endswith("(request id-1)")
            assert (record.status, record.code, len(record.attempts)) == (502, error["code"], 2)

    run(main())


def test_a_bad_request_goes_nowhere_else() -> None:
    async def main() -> None:
        async with engine_before(answering(BAD_REQUEST), answering(whole())) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (400, "upstream_refused")
            assert client.body == BAD_REQUEST.partition(b"\r\n\r\n")[2]
            assert rig.asked == [1, 0]

    run(main())


def test_without_a_plan_nobody_is_asked() -> None:
    async def main() -> None:
        async with engine_before(answering(whole())) as rig:
            _, client = begin(rig, chat(model="unheard-of"))
            record = await rig.log.next()
            assert (client.status, record.code) == (404, "model_not_found")
            assert b"x-should-retry" not in client.headers
            assert (record.attempts, rig.asked) == ((), [0])

    run(main())


@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_that_breaks_off_after_its_commit_says_so(is_stream: bool) -> None:
    """An event where the dialect has one for it, else a cut connection."""

    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"

        async def die(peer: Peer) -> None:
            await peer.answer(STREAM_HEAD + chunk(CONTENT) if is_stream else head + b"{" * 30)

        async with engine_before(die, answering(whole()), routing=Routing(commit_buffer=20)) as rig:
            _, client = begin(rig, chat(stream=is_stream))
            record = await rig.log.next()
            assert (client.status, record.status) == (200, 200)
            assert record.code in ("truncated", "connection_lost")
            assert rig.asked == [1, 0]
            if is_stream:
                assert client.ended == "finished"
                last = client.body.split(b"\n\n")[-2].removeprefix(b"data: ")
                assert json.loads(last)["error"]["code"] == record.code
            else:
                assert (client.ended, client.body) == ("aborted", b"{" * 30)

    run(main())


def test_a_client_that_leaves_during_an_attempt_takes_it_along() -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def hang(peer: Peer) -> None:
            await peer.request()
            asked.set()
            await peer.gone()
            gone.set()

        async with engine_before(hang, answering(whole())) as rig:
            exchange, client = begin(rig, chat())
            await asked.wait()
            assert rig.live.in_progress == {"alpha/m": 1}
            client.leave(exchange)
            assert rig.live.in_progress == {}
            record = await rig.log.next()
            await gone.wait()
            assert (record.status, record.code) == (499, "client_disconnected")
            assert [one.outcome for one in record.attempts] == ["client_disconnected"]
            assert rig.live.conditions == {}
            assert (client.written, rig.asked) == (b"", [1, 0])

    run(main())


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_request_that_the_gateway_ends_is_told_so_and_charged(is_begun: bool) -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def stop_halfway(peer: Peer) -> None:
            await peer.request()
            asked.set()
            peer.send(STREAM_HEAD + (chunk(CONTENT) if is_begun else b""))
            await peer.gone()
            gone.set()

        async with engine_before(stop_halfway) as rig:
            exchange, client = begin(rig, chat(stream=True))
            await asked.wait()
            while is_begun and not client.written:
                await asyncio.sleep(0.001)
            assert exchange.on_cancel is not None
            exchange.on_cancel()
            record = await rig.log.next()
            await gone.wait()
            assert client.ended == "finished"
            assert b'"code":"shutting_down"' in client.body
            if is_begun:
                assert client.body.startswith(CONTENT + b'data: {"error":')
            else:
                assert client.headers[b"retry-after"] == b"1"
                assert client.headers[b"x-should-retry"] == b"true"
            assert (client.status, record.status) == ((200, 200) if is_begun else (503, 503))
            assert record.code == "shutting_down"
            (attempt,) = record.attempts
            assert (attempt.outcome, attempt.retry_after_s) == ("shutting_down", None)
            assert attempt.usage_source == "estimated"
            assert not rig.live.conditions, "it is nobody's fault"

    run(main())


def test_a_client_that_leaves_in_a_pause_ends_the_request() -> None:
    async def main() -> None:
        async with engine_before(answering(OVERLOADED)) as rig:
            exchange, client = begin(rig, chat())
            while rig.live.in_progress or not rig.live.conditions:
                await asyncio.sleep(0.001)  # the first attempt has failed: the pause before the second
            client.leave(exchange)
            record = await rig.log.next()
            assert (record.status, record.code) == (499, "client_disconnected")
            assert [one.outcome for one in record.attempts] == ["upstream_error"]
            assert rig.asked == [1]

    run(main())


def test_a_failure_of_the_gateways_own_is_an_error_and_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        unusable = Network(ca_file="/there/is/no/such/file")
        async with engine_before(answering(whole()), network=unusable) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, client.ended) == (500, "finished")
            assert json.loads(client.body)["error"]["code"] == "internal_error"
            assert b"no/such/file" not in client.written
            assert (record.status, record.code) == (500, "internal_error")
            assert [one.outcome for one in record.attempts] == ["internal_error"]
            assert (rig.live.in_progress, rig.live.conditions) == ({}, {})

    run(main())
    assert "FileNotFoundError" in caplog.text


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


def test_a_request_that_outlasts_its_time_to_commit_is_given_up() -> None:
    async def main() -> None:
        async def hang(peer: Peer) -> None:
            await peer.request()
            await peer.gone()

        async with engine_before(hang, hang, routing=Routing(timeouts=Timeouts(commit_s=0.2))) as rig:
            _, client = begin(rig, chat())
            record = await rig.log.next()
            assert (client.status, record.code) == (504, "upstream_timeout")
            assert [one.provider for one in record.attempts] == ["alpha", "beta"]
            first = record.attempts[0].duration_us
            assert 90_000 < first < 190_000, "an attempt gets half of the time while another is left"

    run(main())


# Near a limit. A token of an answer costs a nano-dollar, a prompt nothing: budgets are in tokens.

GOOD_STREAM = STREAM_HEAD + chunk(CONTENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
BUDGET = limit(Metric.USD, 130)
ME_LIMITED = Grant(VirtualKey(name="me", digest=b"", limits=(BUDGET,)))


def priced(rig: Rig, near_limit: str = "shorten", **dearest: int) -> None:
    """Put in force what an answer's tokens cost at each provider, in pico-dollars; 1000 unless stated."""
    overrides = [
        PriceOverride(model=f"{name}/*", owner=None, price=Price(Rates(input=0, output=rate)))
        for name, rate in dearest.items()
    ]
    overrides.append(PriceOverride(model="*", owner=None, price=Price(Rates(input=0, output=1000))))
    rig.live.swap(replace(rig.snapshot, pricing=Pricing("deny", tuple(overrides)), near_limit=near_limit))


def hold(rig: Rig, amount: int) -> None:
    """Reserve for another request."""
    rig.ledger.reserve(rig.ledger.account((BUDGET,)), "another", amount, 0, 1, time())


def bodies(rig: Rig, name: str) -> list[Any]:
    received = b"".join(peer.received for peer in rig.origins[name].peers)
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in received.split(b"POST ")[1:]]


@pytest.mark.parametrize("stream", [False, True])
def test_near_a_limit_an_answer_is_shortened_to_what_fits_and_it_is_said(stream: bool) -> None:
    async def main() -> None:
        async with engine_before(answering(GOOD_STREAM if stream else whole())) as rig:
            priced(rig)
            hold(rig, 100)
            _, client = begin(rig, chat(stream=stream, max_tokens=200), ME_LIMITED)
            record = await rig.log.next()
            assert client.status == 200
            assert client.headers[b"x-pointsman-max-tokens"] == b"30"
            assert [body["max_tokens"] for body in bodies(rig, "alpha")] == [30]
            assert record.attempts[0].max_tokens == 30
            (verdict,) = record.verdicts
            assert verdict.startswith("alpha/m: the answer is limited to 30 tokens: ")
            assert verdict.endswith("the budget of $0.00000013 per day of virtual key me has $0.00000003 left")
            rig.ledger.release("another")

    run(main())


@pytest.mark.parametrize(
    ("near_limit", "of_key", "held", "status"),
    [
        ("refuse", None, 100, 402),
        ("shorten", "refuse", 100, 402),
        ("refuse", "shorten", 100, 200),
        ("shorten", None, 130 - MIN_OUTPUT, 200),
        ("shorten", None, 130 - MIN_OUTPUT + 1, 402),
        ("shorten", None, 0, 200),
    ],
)
def test_only_where_it_is_wanted_and_not_to_nothing(
    near_limit: str, of_key: str | None, held: int, status: int
) -> None:
    async def main() -> None:
        async with engine_before(answering(whole())) as rig:
            priced(rig, near_limit)
            if held:
                hold(rig, held)
            me = Grant(VirtualKey(name="me", digest=b"", limits=(BUDGET,), near_limit=of_key))
            _, client = begin(rig, chat(max_tokens=200 if held else 130), me)
            record = await rig.log.next()
            assert client.status == status
            if status == 402:
                assert "the budget of $0.00000013 per day of virtual key me is too small" in client.body.decode()
                assert record.code == "budget_exceeded"
                assert rig.asked == [0]
            if not held:
                assert b"x-pointsman-max-tokens" not in client.headers, "it fits as it is"
                assert record.attempts[0].max_tokens is None
            rig.ledger.release("another")

    run(main())


def test_a_limit_of_requests_is_no_matter_of_length() -> None:
    async def main() -> None:
        async with engine_before(answering(whole())) as rig:
            priced(rig)
            me = Grant(VirtualKey(name="me", digest=b"", limits=(limit(Metric.REQUESTS, 1, "minute"),)))
            begin(rig, chat(), me)
            await rig.log.next()
            _, client = begin(rig, chat(), me)
            await rig.log.next()
            assert client.status == 429

    run(main())


def test_every_candidate_is_looked_at_for_a_shorter_answer_and_none_is_shortened_while_another_fits() -> None:
    async def main() -> None:
        async with engine_before(answering(whole()), answering(whole())) as rig:
            priced(rig, alpha=100_000)
            hold(rig, 100)
            for wanted, told in ((20, None), (200, b"28")):
                _, client = begin(rig, chat(max_tokens=wanted), ME_LIMITED)
                record = await rig.log.next()
                assert (client.status, record.provider) == (200, "beta")
                assert client.headers.get(b"x-pointsman-max-tokens") == told
                assert record.verdicts[0].startswith("alpha/m: the budget of")
            assert record.verdicts[1].startswith("beta/m: the answer is limited to 28 tokens")
            rig.ledger.release("another")

    run(main())


def test_who_stands_in_for_a_provider_that_failed_may_give_a_shorter_answer() -> None:
    async def main() -> None:
        async with engine_before(answering(BAD_KEY), answering(whole())) as rig:
            priced(rig, beta=4_000)
            _, client = begin(rig, chat(max_tokens=100), ME_LIMITED)
            record = await rig.log.next()
            assert (client.status, record.provider) == (200, "beta")
            assert client.headers[b"x-pointsman-max-tokens"] == b"32"
            assert [one.max_tokens for one in record.attempts] == [None, 32]

    run(main())


def test_where_a_shortened_attempt_came_to_nothing_nothing_was_shortened() -> None:
    async def main() -> None:
        async with engine_before(answering(BAD_KEY)) as rig:
            priced(rig)
            hold(rig, 100)
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            record = await rig.log.next()
            assert client.status == 502
            assert b"x-pointsman-max-tokens" not in client.headers
            assert record.attempts[0].max_tokens == 30, "that it was tried is kept"
            rig.ledger.release("another")

    run(main())


def test_every_candidate_is_tried_again_when_room_has_come_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM_S", PATIENCE_S)

    async def main() -> None:
        async with engine_before(answering(whole()), answering(whole())) as rig:
            priced(rig, "refuse", alpha=100_000)
            hold(rig, 100)
            _, client = begin(rig, chat(max_tokens=100), ME_LIMITED)
            await asyncio.sleep(0.1)
            rig.ledger.release("another")
            record = await rig.log.next()
            assert (client.status, record.provider) == (200, "beta")
            assert len(record.verdicts) == 1, "of the last round"

    run(main())


class BookLessor:
    """Control with one worker more, `before` each of whose answers something may happen."""

    def __init__(self, rig: Rig, before: Callable[[], None] = lambda: None) -> None:
        self.book = LeaseBook(2)
        self.book.configure({BUDGET.counter: BUDGET})
        self.asked: list[list[Want]] = []
        self._ledger = rig.ledger
        self._before = before
        for epoch in (1, 2):
            self.book.hello(epoch, epoch, NO_SHARE, [], time())

    def ask(self, wants: Sequence[Want]) -> Waiter[Sequence[Lease] | Unable]:
        waiter: Waiter[Sequence[Lease] | Unable] = Waiter()

        def answer() -> None:
            self._before()
            grants, _ = self.book.ask(1, wants)
            self._ledger.granted(grants)
            waiter.set(grants)

        self.asked.append(list(wants))
        asyncio.get_running_loop().call_soon(answer)
        return waiter


def test_why_nothing_can_be_lent_is_told() -> None:
    class Unsure:
        def ask(self, wants: Sequence[Want]) -> Waiter[Sequence[Lease] | Unable]:
            waiter: Waiter[Sequence[Lease] | Unable] = Waiter()
            waiter.set(Unable("the store cannot be reached"))
            return waiter

    async def main() -> None:
        async with engine_before(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            rig.engine.billing.lessor = Unsure()
            _, client = begin(rig, chat(max_tokens=50), ME_LIMITED)
            record = await rig.log.next()
            assert (client.status, record.code) == (503, "budget_unavailable")
            assert "cannot be found out now: the store cannot be reached" in (record.message or "")

    run(main())


def test_what_control_has_left_is_part_of_what_fits() -> None:
    async def main() -> None:
        async with engine_before(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            rig.engine.billing.lessor = lessor = BookLessor(rig)
            window = BUDGET.period.window(time())[0]
            lessor.book.ask(2, [Want(BUDGET.counter, window, 70)])
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            assert client.headers[b"x-pointsman-max-tokens"] == b"60"
            assert [wants[0].more for wants in lessor.asked[-1:]] == [60], "and what it has is asked for at last"
            assert lessor.book.status()[0].lent == 130
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            assert client.headers[b"x-pointsman-max-tokens"] == b"58", "two were used"

    run(main())


def test_others_may_be_faster() -> None:
    """While a shorter answer is being asked for, another worker takes some of what was left, time and again."""

    async def main() -> None:
        async with engine_before(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            window = BUDGET.period.window(time())[0]
            taken: list[int] = []

            def take() -> None:
                if len(taken) < 3:
                    taken.append(len(lessor.asked))
                    lessor.book.ask(2, [Want(BUDGET.counter, window, 20)])

            rig.engine.billing.lessor = lessor = BookLessor(rig, take)
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            left = int(client.headers[b"x-pointsman-max-tokens"])
            assert MIN_OUTPUT <= left < 130
            assert lessor.book.status()[0].lent <= 130

    run(main())
