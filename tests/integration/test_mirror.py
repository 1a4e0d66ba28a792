"""Copies of requests, which a mirror gets after the client was served. The providers' bills show what was sent."""

from typing import Any

import pytest

from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import NANO, bearer, billed_nano, governance, prices, settings, usd

MODEL = "gpt-4o-mini"
COPIES = "mirror:chat"
BODY = chat(max_tokens=20)
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def mirroring(
    *,
    share: float = 1.0,
    budgets: Any = None,
    key: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    sections: dict[str, Any] | None = None,
    shadow: dict[str, Any] | None = None,
) -> Any:
    """Serve `chat` at alpha, and copy its requests to beta."""
    mirror = {"to": f"beta/{MODEL}", "share": share, "budgets": budgets or usd(1)}
    return serving(
        providers={"alpha": settings(text="numbered"), "beta": settings(text="numbered", **(shadow or {}))},
        models={"chat": {"targets": [f"alpha/{MODEL}"], "mirror": mirror, **(model or {})}},
        governance=governance({"me": {"budgets": usd(1), **(key or {})}}),
        pricing=prices(f"alpha/{MODEL}", f"beta/{MODEL}"),
        **(sections or {}),
    )


async def records_of(gateway: Gateway, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the records of requests and those of copies."""
    await gateway.wait_for_records(count)
    records = gateway.records
    return [one for one in records if "mirror_of" not in one], [one for one in records if "mirror_of" in one]


def count(gateway: Gateway, name: str) -> int:
    return len(gateway.providers[name].bill.entries)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_copy_is_sent_and_compared_after_the_client_was_served(path: str, stream: bool) -> None:
    async def main() -> None:
        async with mirroring() as gateway:
            answer = await gateway.ask(BODY | {"stream": stream}, headers=bearer("me"), path=path)
            assert answer.status == 200
            assert answer.headers["x-pointsman-attempts"] == "1"
            (request,), (copy,) = await records_of(gateway, 2)
            assert (count(gateway, "alpha"), count(gateway, "beta")) == (1, 1)
            assert copy["mirror_of"] == request["request_id"]
            assert (copy["virtual_key"], copy["provider"], copy.get("team")) == (COPIES, "beta", None)
            compared = copy["compared"]
            assert (compared["provider"], compared["cost_nano"]) == ("alpha", request["cost_nano"])
            assert (compared["same"], compared["similarity"], compared["same_tools"]) == (True, 1.0, True)
            assert compared["finish"] == compared["mirror_finish"] == "stop"
            assert request["cost_nano"] + copy["cost_nano"] == billed_nano(gateway)
            assert ("ttft_us" in compared) == stream

    run(main())


def test_different_answers_are_compared_by_their_words() -> None:
    async def main() -> None:
        async with mirroring(shadow={"output_tokens": 10.0}) as gateway:
            await gateway.ask(BODY, headers=bearer("me"))
            _, (copy,) = await records_of(gateway, 2)
            assert copy["compared"]["same"] is False
            assert copy["compared"]["similarity"] == 0.5
            found = await gateway.metrics()
            assert found['pointsman_mirrored_total{public_model="chat",result="different"}'] == 1

    run(main())


def test_copies_have_a_budget_of_their_own() -> None:
    """The client's budget pays nothing for them, and the mirror's budget is never exceeded."""

    async def main() -> None:
        async with mirroring(budgets=usd("0.000200")) as gateway:
            for _ in range(20):
                assert (await gateway.ask(BODY, headers=bearer("me"))).status == 200
            requests, copies = await records_of(gateway, 40)
            spent = sum(one.get("cost_nano", 0) for one in copies)
            assert gateway.providers["beta"].bill.totals().charged_nano == spent <= 0.0002 * NANO
            refused = [one for one in copies if one["status"] == 402]
            assert 0 < len(refused) < 20
            assert "of mirror chat" in refused[0]["message"]
            ledger = gateway.worker.plane.ledger
            of_key = ledger.counters["virtual_key:me|usd|year"].window
            assert of_key.settled == sum(one["cost_nano"] for one in requests)

    run(main())


def test_copy_obeys_the_requirements_and_the_rights_of_its_request() -> None:
    async def main() -> None:
        tagged = {"tags": {"region": "eu"}}
        for key, model in (({"require": {"region": ["eu"]}}, {}), ({}, {"require": {"region": ["eu"]}})):
            async with mirroring(key=key, model=model, sections={"provider_settings": {"alpha": tagged}}) as gateway:
                assert (await gateway.ask(BODY, headers=bearer("me"))).status == 200
                _, (copy,) = await records_of(gateway, 2)
                assert copy["code"] == "no_compliant_provider"
                assert not gateway.providers["beta"].bill.entries
        async with mirroring(key={"providers": {"alpha": {}}}) as gateway:
            assert (await gateway.ask(BODY, headers=bearer("me"))).status == 200
            _, (copy,) = await records_of(gateway, 2)
            assert (copy["status"], copy["code"]) == (403, "model_not_allowed")
            assert not gateway.providers["beta"].bill.entries

    run(main())


def test_share_of_requests_is_copied() -> None:
    async def main() -> None:
        async with mirroring(share=0.3) as gateway:
            for _ in range(200):
                await gateway.ask(chat(max_tokens=1), headers=bearer("me"))
            await until(lambda: 35 <= count(gateway, "beta") <= 90, "about sixty requests were copied")

    run(main())


def test_request_for_which_a_rule_or_its_client_chose_the_provider_is_not_copied() -> None:
    async def main() -> None:
        rules = [{"name": "local", "when": 'headers["x-local"] == "yes"', "targets": [f"alpha/{MODEL}"]}]
        async with mirroring(sections={"routing": {"rules": rules}}) as gateway:
            for headers in ({"x-local": "yes"}, {"x-pointsman-provider": "alpha"}, {}):
                assert (await gateway.ask(BODY, headers={**bearer("me"), **headers})).status == 200
            requests, copies = await records_of(gateway, 4)
            assert (len(requests), len(copies)) == (3, 1)
            assert copies[0]["mirror_of"] == requests[-1]["request_id"]

    run(main())


def test_each_mirror_has_its_own_budget_whatever_name_was_requested() -> None:
    """A rule that changes the model does not let the copies of one name spend the budget of another."""

    async def main() -> None:
        mirrors = {"chat": usd(1), "other": usd("0.000000001")}
        async with serving(
            providers={"alpha": settings(), "beta": settings()},
            models={
                name: {
                    "targets": [f"alpha/{MODEL}"],
                    "mirror": {"to": f"beta/{MODEL}", "share": 1, "budgets": budgets},
                }
                for name, budgets in mirrors.items()
            },
            routing={"rules": [{"name": "to-other", "when": 'headers["x-other"] == "yes"', "model": "other"}]},
            governance=governance({"me": {"budgets": usd(1)}}),
            pricing=prices(f"alpha/{MODEL}", f"beta/{MODEL}"),
        ) as gateway:
            for headers in ({}, {"x-other": "yes"}, {}):
                await gateway.ask(BODY, headers={**bearer("me"), **headers})
            _, copies = await records_of(gateway, 6)
            found = [(one["virtual_key"], one["status"]) for one in copies]
            assert found == [("mirror:chat", 200), ("mirror:other", 402), ("mirror:chat", 200)]

    run(main())


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (BODY | {"tools": [{"type": "web_search"}]}, "/v1/chat/completions"),
        (BODY | {"store": True}, "/v1/chat/completions"),
        ({"model": "chat", "input": "hello", "store": True}, "/v1/responses"),
        ({"model": "chat", "input": "hello"}, "/v1/embeddings"),
    ],
)
def test_request_that_acts_or_stores_is_not_copied(body: dict[str, Any], path: str) -> None:
    async def main() -> None:
        async with mirroring(key={"budgets": [], "provider_tools": ["web_search"]}) as gateway:
            await gateway.ask(body, headers=bearer("me"), path=path)
            await gateway.ask(BODY, headers=bearer("me"))
            requests, copies = await records_of(gateway, 3)
            assert (len(requests), len(copies)) == (2, 1)
            assert count(gateway, "beta") == 1

    run(main())


def test_failed_request_is_not_copied_and_failed_copy_is_not_repeated() -> None:
    async def main() -> None:
        async with mirroring() as gateway:
            gateway.providers["alpha"].set_fault("status=500")
            assert (await gateway.ask(BODY, headers=bearer("me"))).status == 502
            gateway.providers["alpha"].set_fault(None)
            gateway.providers["beta"].set_fault("status=500")
            assert (await gateway.ask(BODY | {"tools": [TOOL]}, headers=bearer("me"))).status == 200
            _, (copy,) = await records_of(gateway, 3)
            assert (copy["status"], len(copy["attempts"])) == (502, 1)
            assert count(gateway, "beta") == 1

    run(main())
