"""Waiting for used amounts that control has not sent yet."""

import asyncio

from fakes.money import limit
from integration.gateway import run
from pointsman.domain.leases import NO_SHARE, UsedElsewhere
from pointsman.engine import facts
from pointsman.engine.facts import answered
from pointsman.engine.tasks import EagerTask
from pointsman.money.ledger import Ledger
from pointsman.money.usage import UsedAmounts

NOW = 1_764_000_000.0
DAY = int(NOW // 86_400) * 86_400
USD, OTHER = limit("usd", 1000), limit("usd", 1000, name="other")


def connected() -> UsedAmounts:
    amounts = UsedAmounts(Ledger(NO_SHARE))
    amounts.share(lambda: None)
    amounts.connected()
    return amounts


def test_decision_waits_for_all_amounts_that_it_missed() -> None:
    async def main() -> None:
        amounts = connected()
        assert amounts.used(USD, NOW) is None
        assert amounts.used(OTHER, NOW) is None
        task = EagerTask(answered(amounts), RuntimeError)
        task.resume()
        amounts.take([UsedElsewhere(USD.counter, DAY, 5)])
        assert not task.is_done
        amounts.take([UsedElsewhere(OTHER.counter, DAY, 6)])
        assert task.is_done
        assert (amounts.used(USD, NOW), amounts.used(OTHER, NOW)) == (5, 6)
        assert not amounts.missed
        assert not amounts.on_answer

    run(main())


def test_decision_does_not_wait_for_ever() -> None:
    async def main() -> None:
        amounts = connected()
        amounts.used(USD, NOW)
        began_at = asyncio.get_running_loop().time()
        task = EagerTask(answered(amounts), RuntimeError)
        task.resume()
        while not task.is_done:
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - began_at >= facts.WITHIN_S * 0.9
        assert amounts.used(USD, NOW) is None
        assert not amounts.on_answer

    run(main())
