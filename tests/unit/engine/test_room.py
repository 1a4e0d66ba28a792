"""Finding room for an attempt after its limits had none."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.engine import Rig, running_engine
from fakes.money import limit
from fakes.origin import run
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import NO_SHARE, LeaseRequest, LeaseUnavailable
from pointsman.domain.leases import Grant as Lease
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.money.fit import MIN_OUTPUT
from pointsman.money.leases import LeaseTable
from pointsman.money.ledger import Ledger
from pointsman.routing import failover
from pointsman.routing.admit import Admission
from unit.engine.test_serve import BAD_KEY, CONTENT, STREAM_HEAD, answering, begin, chat, chunk, whole

# Near a limit. An output token costs a nano-dollar and a prompt nothing, so budgets are in output tokens.

GOOD_STREAM = STREAM_HEAD + chunk(CONTENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
BUDGET = limit("usd", 130)
ME_LIMITED = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,)))


def priced(rig: Rig, near_limit: str = "shorten", **dearest: int) -> None:
    """Put prices in force for output tokens at each provider, in pico-dollars; the default is 1000."""
    overrides = [
        PriceOverride(model=f"{name}/*", owner=None, price=Price(Rates(input=0, output=rate)))
        for name, rate in dearest.items()
    ]
    overrides.append(PriceOverride(model="*", owner=None, price=Price(Rates(input=0, output=1000))))
    rig.live.swap(replace(rig.snapshot, pricing=Pricing("deny", tuple(overrides)), near_limit=near_limit))


def reserve(rig: Rig, amount: int) -> None:
    """Reserve an amount for another request."""
    rig.ledger.reserve(rig.ledger.account((BUDGET,)), "another", amount, 0, 1, time())


def bodies(rig: Rig, name: str) -> list[Any]:
    received = b"".join(peer.received for peer in rig.origins[name].peers)
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in received.split(b"POST ")[1:]]


@pytest.mark.parametrize("stream", [False, True])
def test_answer_near_a_limit_is_shortened_and_announced(stream: bool) -> None:
    async def main() -> None:
        async with running_engine(answering(GOOD_STREAM if stream else whole())) as rig:
            priced(rig)
            reserve(rig, 100)
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
def test_answer_is_shortened_only_if_configured_and_long_enough(
    near_limit: str, of_key: str | None, held: int, status: int
) -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            priced(rig, near_limit)
            if held:
                reserve(rig, held)
            me = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,), near_limit=of_key))
            _, client = begin(rig, chat(max_tokens=200 if held else 130), me)
            record = await rig.log.next()
            assert client.status == status
            if status == 402:
                assert "the budget of $0.00000013 per day of virtual key me is less than" in client.body.decode()
                assert record.code == "budget_exceeded"
                assert rig.request_counts == [0]
            if not held:
                assert b"x-pointsman-max-tokens" not in client.headers, "the answer fits"
                assert record.attempts[0].max_tokens is None
            rig.ledger.release("another")

    run(main())


def test_limit_of_requests_shortens_no_answer() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            priced(rig)
            me = Admission(VirtualKey(name="me", digest=b"", limits=(limit("requests", 1, "minute"),)))
            begin(rig, chat(), me)
            await rig.log.next()
            _, client = begin(rig, chat(), me)
            await rig.log.next()
            assert client.status == 429

    run(main())


def test_answer_is_shortened_only_if_no_other_candidate_fits() -> None:
    async def main() -> None:
        async with running_engine(answering(whole()), answering(whole())) as rig:
            priced(rig, alpha=100_000)
            reserve(rig, 100)
            for wanted, expected in ((20, None), (200, b"28")):
                _, client = begin(rig, chat(max_tokens=wanted), ME_LIMITED)
                record = await rig.log.next()
                assert (client.status, record.provider) == (200, "beta")
                assert client.headers.get(b"x-pointsman-max-tokens") == expected
                assert record.verdicts[0].startswith("alpha/m: the budget of")
            assert record.verdicts[1].startswith("beta/m: the answer is limited to 28 tokens")
            rig.ledger.release("another")

    run(main())


def test_answer_may_be_shortened_after_a_failover() -> None:
    async def main() -> None:
        async with running_engine(answering(BAD_KEY), answering(whole())) as rig:
            priced(rig, beta=4_000)
            _, client = begin(rig, chat(max_tokens=100), ME_LIMITED)
            record = await rig.log.next()
            assert (client.status, record.provider) == (200, "beta")
            assert client.headers[b"x-pointsman-max-tokens"] == b"32"
            assert [one.max_tokens for one in record.attempts] == [None, 32]

    run(main())


def test_failed_shortened_attempt_leaves_the_answer_unshortened() -> None:
    async def main() -> None:
        async with running_engine(answering(BAD_KEY)) as rig:
            priced(rig)
            reserve(rig, 100)
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            record = await rig.log.next()
            assert client.status == 502
            assert b"x-pointsman-max-tokens" not in client.headers
            assert record.attempts[0].max_tokens == 30, "the record shows the maximum that was tried"
            rig.ledger.release("another")

    run(main())


def test_every_candidate_is_tried_again_when_a_limit_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "ROOM_S", PATIENCE_S)

    async def main() -> None:
        async with running_engine(answering(whole()), answering(whole())) as rig:
            priced(rig, "refuse", alpha=100_000)
            reserve(rig, 100)
            _, client = begin(rig, chat(max_tokens=100), ME_LIMITED)
            await asyncio.sleep(0.1)
            rig.ledger.release("another")
            record = await rig.log.next()
            assert (client.status, record.provider) == (200, "beta")
            assert len(record.verdicts) == 1, "only those of the last round"

    run(main())


class TableLeaseClient:
    """Control with one other worker. `before` is called before each of its answers."""

    def __init__(self, rig: Rig, before: Callable[[], None] = lambda: None, of: Limit = BUDGET) -> None:
        self.table = LeaseTable(2)
        self.table.configure({of.counter: of})
        self.asked: list[list[LeaseRequest]] = []
        self._ledger = rig.ledger
        self._before = before
        for epoch in (1, 2):
            self.table.hello(epoch, epoch, NO_SHARE, [], time())

    def ask(
        self, requests: Sequence[LeaseRequest], on_answer: Callable[[Sequence[Lease] | LeaseUnavailable], None]
    ) -> None:
        def answer() -> None:
            self._before()
            grants, _ = self.table.ask(1, requests)
            self._ledger.granted(grants)
            on_answer(grants)

        self.asked.append(list(requests))
        asyncio.get_running_loop().call_soon(answer)


def test_rejection_has_the_reason_why_control_grants_no_lease() -> None:
    class UnavailableLeaseClient:
        def ask(
            self, requests: Sequence[LeaseRequest], on_answer: Callable[[Sequence[Lease] | LeaseUnavailable], None]
        ) -> None:
            on_answer(LeaseUnavailable("the store cannot be reached"))

    async def main() -> None:
        async with running_engine(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            rig.engine.billing.lease_client = UnavailableLeaseClient()
            _, client = begin(rig, chat(max_tokens=50), ME_LIMITED)
            record = await rig.log.next()
            assert (client.status, record.code) == (503, "budget_unavailable")
            assert "now: the store cannot be reached" in (record.message or "")

    run(main())


def test_amount_left_at_control_counts_for_a_shorter_answer() -> None:
    async def main() -> None:
        async with running_engine(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            rig.engine.billing.lease_client = lease_client = TableLeaseClient(rig)
            window = BUDGET.period.window(time())[0]
            lease_client.table.ask(2, [LeaseRequest(BUDGET.counter, window, 70)])
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            assert client.headers[b"x-pointsman-max-tokens"] == b"60"
            assert [requests[0].more for requests in lease_client.asked[-1:]] == [60], (
                "the last request is for the amount left"
            )
            assert lease_client.table.status()[0].leased == 130
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            assert client.headers[b"x-pointsman-max-tokens"] == b"58", "the first answer used two"

    run(main())


def test_shortening_ends_if_other_workers_take_the_room() -> None:
    """While a shorter answer is being reserved, another worker takes some of the remaining amount, several times."""

    async def main() -> None:
        async with running_engine(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            window = BUDGET.period.window(time())[0]
            taken: list[int] = []

            def take() -> None:
                if len(taken) < 3:
                    taken.append(len(lease_client.asked))
                    lease_client.table.ask(2, [LeaseRequest(BUDGET.counter, window, 20)])

            rig.engine.billing.lease_client = lease_client = TableLeaseClient(rig, take)
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            left = int(client.headers[b"x-pointsman-max-tokens"])
            assert MIN_OUTPUT <= left < 130
            assert lease_client.table.status()[0].leased <= 130

    run(main())


# A prompt is counted before its bytes refuse it.

PROSE = (Path(__file__).parents[3] / "LICENSE").read_text()  # 11,358 bytes, and 2,262 tokens of o200k_base
MESSAGES = [{"role": "user", "content": PROSE}]
LONG = chat(max_tokens=100, messages=MESSAGES)


def limited(amount: int, metric: Metric = "tokens") -> tuple[Limit, Admission]:
    found = limit(metric, amount, name=f"me with {amount}")
    return found, Admission(VirtualKey(name="me", digest=b"", limits=(found,)))


@pytest.mark.parametrize(
    ("tokens", "status", "counted"),
    [(200_000, 200, 0), (13_000, 200, 1), (6_000, 200, 1), (3_000, 429, 1), (700, 429, 0)],
)
def test_prompt_is_counted_only_if_its_bytes_do_not_fit(tokens: int, status: int, counted: int) -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            _, me = limited(tokens)
            _, client = begin(rig, LONG, me)
            record = await rig.log.next()
            assert (client.status, rig.engine.prompts.counted) == (status, counted)
            told = [verdict for verdict in record.verdicts if "(counted)" in verdict]
            assert len(told) == counted
            if status == 200 and counted:
                needed = re.fullmatch(r"alpha/m: the attempt needs up to ([\d,]+) tokens \(counted\)", told[0])
                assert needed is not None
                assert 2_262 + 100 < int(needed[1].replace(",", "")) <= tokens
            elif counted:
                assert "(counted) that this attempt may need" in told[0]

    run(main())


def test_prompt_is_counted_once_for_all_candidates() -> None:
    async def main() -> None:
        async with running_engine(answering(BAD_KEY), answering(whole())) as rig:
            _, me = limited(9_000)
            _, client = begin(rig, LONG, me)
            record = await rig.log.next()
            assert (client.status, record.provider, rig.engine.prompts.counted) == (200, "beta", 1)
            assert len(record.attempts) == 2

    run(main())


def test_limit_of_requests_counts_no_prompt() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            _, me = limited(1, "requests")
            for status in (200, 429):
                _, client = begin(rig, LONG, me)
                await rig.log.next()
                assert client.status == status
            assert rig.engine.prompts.counted == 0

    run(main())


def test_prompt_without_a_price_is_not_counted_for_a_budget() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            priced(rig)
            _, me = limited(1_000, "usd")  # two thirds of the answer
            _, client = begin(rig, chat(max_tokens=1_500, messages=MESSAGES), me)
            await rig.log.next()
            assert (client.status, rig.engine.prompts.counted) == (200, 0)
            assert b"x-pointsman-max-tokens" in client.headers

    run(main())


def test_answer_is_shortened_only_after_the_prompt_was_counted() -> None:
    async def main() -> None:
        async with running_engine(answering(whole())) as rig:
            rig.live.swap(replace(rig.snapshot, near_limit="shorten"))
            for tokens, is_shortened in ((6_000, False), (4_500, True)):
                _, me = limited(tokens)
                _, client = begin(rig, chat(max_tokens=1_500, messages=MESSAGES), me)
                await rig.log.next()
                assert client.status == 200
                assert (b"x-pointsman-max-tokens" in client.headers) is is_shortened
                if is_shortened:
                    assert int(client.headers[b"x-pointsman-max-tokens"]) > 4_500 - 512 - len(PROSE)

    run(main())


@pytest.mark.parametrize(("taken", "counted"), [(0, 0), (394_000, 1), (397_000, 1)])
def test_leases_are_requested_for_the_counted_amount(taken: int, counted: int) -> None:
    async def main() -> None:
        async with running_engine(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            bound, me = limited(400_000)
            rig.engine.billing.lease_client = lease_client = TableLeaseClient(rig, of=bound)
            lease_client.table.ask(2, [LeaseRequest(bound.counter, bound.period.window(time())[0], taken)])
            _, client = begin(rig, LONG, me)
            await rig.log.next()
            assert (client.status, rig.engine.prompts.counted) == (200 if taken < 397_000 else 429, counted)
            asked = [requests[0].more for requests in lease_client.asked]
            assert asked[0] > len(PROSE), "a prompt is not counted before control has too little"
            assert all(more < 5_000 for more in asked[1:])

    run(main())
