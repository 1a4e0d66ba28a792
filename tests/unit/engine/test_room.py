"""Room for an attempt in limits that have none at first."""

import asyncio
import json
from collections.abc import Callable, Sequence
from time import time
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.engine import Rig, engine_before
from fakes.money import limit
from fakes.origin import run
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import NO_SHARE, LeaseRequest, LeaseUnavailable
from pointsman.domain.leases import Grant as Lease
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.money.fit import MIN_OUTPUT
from pointsman.money.leases import LeaseTable
from pointsman.money.ledger import Ledger
from pointsman.routing import failover
from pointsman.routing.admit import Admission
from unit.engine.test_serve import BAD_KEY, CONTENT, STREAM_HEAD, answering, begin, chat, chunk, whole

# Near a limit. A token of an answer costs a nano-dollar, a prompt nothing: budgets are in tokens.

GOOD_STREAM = STREAM_HEAD + chunk(CONTENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
BUDGET = limit("usd", 130)
ME_LIMITED = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,)))


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
            me = Admission(VirtualKey(name="me", digest=b"", limits=(BUDGET,), near_limit=of_key))
            _, client = begin(rig, chat(max_tokens=200 if held else 130), me)
            record = await rig.log.next()
            assert client.status == status
            if status == 402:
                assert "the budget of $0.00000013 per day of virtual key me is less than" in client.body.decode()
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
            me = Admission(VirtualKey(name="me", digest=b"", limits=(limit("requests", 1, "minute"),)))
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
    monkeypatch.setattr(failover, "ROOM_S", PATIENCE_S)

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
        self.book = LeaseTable(2)
        self.book.configure({BUDGET.counter: BUDGET})
        self.asked: list[list[LeaseRequest]] = []
        self._ledger = rig.ledger
        self._before = before
        for epoch in (1, 2):
            self.book.hello(epoch, epoch, NO_SHARE, [], time())

    def ask(
        self, wants: Sequence[LeaseRequest], answered: Callable[[Sequence[Lease] | LeaseUnavailable], None]
    ) -> None:
        def answer() -> None:
            self._before()
            grants, _ = self.book.ask(1, wants)
            self._ledger.granted(grants)
            answered(grants)

        self.asked.append(list(wants))
        asyncio.get_running_loop().call_soon(answer)


def test_why_nothing_can_be_lent_is_told() -> None:
    class Unsure:
        def ask(
            self, wants: Sequence[LeaseRequest], answered: Callable[[Sequence[Lease] | LeaseUnavailable], None]
        ) -> None:
            answered(LeaseUnavailable("the store cannot be reached"))

    async def main() -> None:
        async with engine_before(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            rig.engine.billing.lease_client = Unsure()
            _, client = begin(rig, chat(max_tokens=50), ME_LIMITED)
            record = await rig.log.next()
            assert (client.status, record.code) == (503, "budget_unavailable")
            assert "now: the store cannot be reached" in (record.message or "")

    run(main())


def test_what_control_has_left_is_part_of_what_fits() -> None:
    async def main() -> None:
        async with engine_before(answering(whole()), ledger=Ledger(NO_SHARE)) as rig:
            priced(rig)
            rig.engine.billing.lease_client = lease_client = BookLessor(rig)
            window = BUDGET.period.window(time())[0]
            lease_client.book.ask(2, [LeaseRequest(BUDGET.counter, window, 70)])
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            assert client.headers[b"x-pointsman-max-tokens"] == b"60"
            assert [wants[0].more for wants in lease_client.asked[-1:]] == [60], "and what it has is asked for at last"
            assert lease_client.book.status()[0].leased == 130
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
                    taken.append(len(lease_client.asked))
                    lease_client.book.ask(2, [LeaseRequest(BUDGET.counter, window, 20)])

            rig.engine.billing.lease_client = lease_client = BookLessor(rig, take)
            _, client = begin(rig, chat(max_tokens=200), ME_LIMITED)
            await rig.log.next()
            left = int(client.headers[b"x-pointsman-max-tokens"])
            assert MIN_OUTPUT <= left < 130
            assert lease_client.book.status()[0].leased <= 130

    run(main())
