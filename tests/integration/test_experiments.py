"""An experiment with two workers: a bad canary is drained, and the table shows the shares, the reasons and scores."""

import asyncio
from typing import Any

from fakes.clock import PATIENCE_S
from integration.gateway import Gateway, chat, run, serving
from integration.governance import bearer, governance
from pointsman.simulate import Settings
from pointsman.simulate.settings import ScheduledFault

ABORTED = 'pointsman_canary_aborted{model="gpt-4o-mini",provider="beta",public_model="chat",variant="trial"}'
GOOD = Settings(output_tokens=1.0)
BAD = Settings(output_tokens=1.0, schedule=(ScheduledFault(fault="status=500", probability=0.4),))
BATCH, MOST_BATCHES = 200, 30


def models(**canary: Any) -> dict[str, Any]:
    guard = {"abort_if": {"error_rate_above_control": 0.05}, "min_requests": 20, **canary}
    targets = [
        {"model": "alpha/gpt-4o-mini", "weight": 70, "variant": "control"},
        {"model": "beta/gpt-4o-mini", "weight": 30, "variant": "trial", "canary": guard},
    ]
    return {"chat": {"strategy": "weighted", "targets": targets}}


async def send(gateway: Gateway) -> int:
    answers = await gateway.ask_many(BATCH, 16, chat(), headers=bearer("me"))
    assert {answer.status for answer in answers} == {200}, "failures of the canary move on to the control"
    return len(answers)


async def rows_of(gateway: Gateway, requests: int) -> dict[str, dict[str, Any]]:
    """Return the table by variant, once all requests are in it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = (await gateway.admin("/api/v1/variants?model=chat")).json["rows"]
            if sum(row.get("requests", 0) for row in found) >= requests:
                return {row["variant"]: row for row in found}
            await asyncio.sleep(0.1)


def test_bad_canary_is_drained_at_both_workers_and_the_table_says_why() -> None:
    async def main() -> None:
        sections: dict[str, Any] = {"models": models(), "governance": governance({"me": {}})}
        providers = {"alpha": GOOD, "beta": BAD}
        async with serving(
            providers=providers, server={"workers": 2}, as_process=True, is_alone=False, **sections
        ) as gateway:
            sent, batches = 0, 0
            while (await gateway.metrics()).get(ABORTED) != 2:
                sent += await send(gateway)
                batches += 1
                assert batches < MOST_BATCHES, "both workers abort the canary"
            before = gateway.providers["beta"].counters.requests_received
            sent += await send(gateway)
            assert gateway.providers["beta"].counters.requests_received == before

            scored = await gateway.ask(chat(), headers=bearer("me"))
            id_ = scored.headers["x-pointsman-request-id"]
            for score in (0.25, "up"):
                given = await gateway.ask(
                    {"request_id": id_, "score": score}, path="/v1/feedback", headers=bearer("me")
                )
                assert given.status == 200, given
            table = await rows_of(gateway, sent + 1)
            control, trial = table["control"], table["trial"]
            assert (control["configured_share"], trial["configured_share"]) == (0.7, 0.3)
            assert trial["observed_share"] < 0.3 < control["observed_share"]
            assert trial["reasons"]["canary_aborted"] >= BATCH
            assert trial["reasons"]["failed_over"] == control["reasons"]["took_over"] > 0
            assert trial["success_share"] < 0.9 < control["success_share"] == 1.0
            assert trial["aborted_at_workers"] == 2
            status = (await gateway.admin("/api/v1/status")).json
            assert [(one["target"], one["workers"]) for one in status["aborted_canaries"]] == [("beta/gpt-4o-mini", 2)]
            logged = [line for line in gateway.stderr if "the canary beta/gpt-4o-mini of chat is aborted" in line]
            assert len(logged) == 2, "once at each worker"
            async with asyncio.timeout(PATIENCE_S):
                while table["control"].get("feedback_mean") != 1.0:
                    await asyncio.sleep(0.1)
                    table = await rows_of(gateway, sent + 1)
            assert table["control"]["feedback_count"] == 1

    run(main())


def test_canary_that_resumes_gets_requests_again() -> None:
    async def main() -> None:
        sections: dict[str, Any] = {"models": models(resume_after_s=0.2), "governance": governance({"me": {}})}
        async with serving(providers={"alpha": GOOD, "beta": BAD}, **sections) as gateway:
            for _ in range(MOST_BATCHES):
                await send(gateway)
                if gateway.live.aborted:
                    break
            (aborted,) = gateway.live.aborted.values()
            assert (aborted.arm.target, "of its attempts failed" in aborted.reason) == ("beta/gpt-4o-mini", True)
            gateway.providers["beta"].set_fault("none")
            await asyncio.sleep(0.25)
            before = gateway.providers["beta"].counters.requests_received
            await send(gateway)
            assert gateway.providers["beta"].counters.requests_received > before

    run(main())
