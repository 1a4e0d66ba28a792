"""Requests that name stored responses, or ask to store one, reach only providers that keep responses."""

from typing import Any

import pytest

from integration.gateway import Gateway, run, serving
from integration.governance import bearer, governance
from pointsman.simulate import Settings
from pointsman.simulate.settings import ScheduledFault

ID = "resp_of_somebody"
PROVIDERS = {name: Settings() for name in ("keeps", "stateless", "chats", "claude")}
# The simulated servers are configured as providers with other abilities. Requests that these cannot serve never reach
# them.
SECTIONS: dict[str, Any] = {
    "providers": PROVIDERS,
    "provider_settings": {
        "stateless": {"type": "groq", "keys": {"only": "env.K"}},
        "chats": {"type": "deepseek", "keys": {"only": "env.K"}},
        "claude": {"type": "anthropic", "keys": {"only": "env.K"}},
    },
    "models": {"any": [f"{name}/gpt-4o" for name in ("stateless", "chats", "claude", "keeps")]},
    "environ": {"K": "sk-a-provider-key-of-tests"},
}
REFERENCE = [{"type": "item_reference", "id": "msg_of_somebody"}, {"role": "user", "content": "hi"}]
STORED: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": ID}, "previous_response_id"),
    ({"conversation": "conv_of_somebody"}, "conversation"),
    ({"store": True}, "store"),
    ({"background": True}, "background"),
    ({"input": REFERENCE}, "item_reference"),
]
OTHERS = ("stateless", "chats", "claude")


def counts(gateway: Gateway) -> dict[str, int]:
    return {name: one.counters.requests_received for name, one in gateway.providers.items()}


def body(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "input": "hi", **fields}


def test_provider_that_keeps_no_responses_gets_no_request_for_stored_ones() -> None:
    async def main() -> None:
        async with serving(**SECTIONS) as gateway:
            before = counts(gateway)
            for name in OTHERS:
                for fields, named in STORED:
                    for stream in (False, True):
                        answer = await gateway.ask(
                            body(f"{name}/gpt-4o", stream=stream, **fields), path="/v1/responses"
                        )
                        error = answer.json["error"]
                        assert (answer.status, error["code"]) == (400, "not_supported"), (name, fields, error)
                        assert named in error["message"]
                        assert name in error["message"]
                for method in ("GET", "DELETE"):
                    answer = await gateway.ask(
                        path=f"/v1/responses/{ID}", method=method, headers={"x-pointsman-provider": name}
                    )
                    assert answer.status == 400, answer.body
                    assert f"{method} /responses" in answer.json["error"]["message"]
            assert counts(gateway) == before

    run(main())


@pytest.mark.parametrize("fields", [fields for fields, _ in STORED if "background" not in fields])
def test_request_for_stored_responses_moves_to_a_provider_that_keeps_them(fields: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving(**SECTIONS) as gateway:
            answer = await gateway.ask(body("any", **fields), path="/v1/responses")
            assert answer.status == 200, answer.body
            (record,) = await gateway.wait_for_records(1)
            assert (record["provider"], len(record["attempts"])) == ("keeps", 1)

    run(main())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("order", [("claude", "keeps"), ("keeps", "claude")])
def test_response_that_is_stored_only_by_default_moves_on_like_a_chat(
    order: tuple[str, str], status: int, stream: bool
) -> None:
    failing = Settings(schedule=(ScheduledFault(fault=f"status={status}"),))
    sections = {
        "providers": {name: failing if name == order[0] else Settings() for name in order},
        "provider_settings": {"claude": {"type": "anthropic", "keys": {"only": "env.K"}}},
        "models": {"any": [f"{name}/gpt-4o" for name in order]},
        "environ": SECTIONS["environ"],
    }

    async def main() -> None:
        async with serving(**sections) as gateway:
            answer = await gateway.ask(body("any", stream=stream), path="/v1/responses")
            assert answer.status == 200, answer.body
            (record,) = await gateway.wait_for_records(1)
            assert [attempt["provider"] for attempt in record["attempts"]] == list(order)

    run(main())


def test_stored_response_is_read_and_deleted_where_it_was_created() -> None:
    async def main() -> None:
        async with serving(**SECTIONS) as gateway:
            created = (await gateway.ask(body("any", store=True), path="/v1/responses")).json
            path = f"/v1/responses/{created['id']}"
            again = await gateway.ask(body("any", previous_response_id=created["id"]), path="/v1/responses")
            assert again.status == 200, again.body
            for method in ("GET", "DELETE"):
                answer = await gateway.ask(path=path, method=method)
                assert answer.status == 200, answer.body
            records = await gateway.wait_for_records(4)
            assert {record["provider"] for record in records} == {"keeps"}

    run(main())


def test_path_without_a_model_leads_to_the_only_provider_with_responses() -> None:
    async def main() -> None:
        async with serving(**SECTIONS) as gateway:
            answer = await gateway.ask(path=f"/v1/responses/{ID}", method="GET")
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["provider"] == "keeps", answer.body

    run(main())


def test_unknown_response_is_not_found_for_a_key_and_the_error_says_what_to_do() -> None:
    async def main() -> None:
        rules = governance({"red": {"team": "red"}}, teams={"red": {}})
        async with serving(**SECTIONS, governance=rules) as gateway:
            for name in OTHERS:
                asked = body(f"{name}/gpt-4o", previous_response_id=ID)
                answer = await gateway.ask(asked, path="/v1/responses", headers=bearer("red"))
                error = answer.json["error"]
                assert (answer.status, error["param"]) == (404, "previous_response_id")
                assert "send the whole conversation in 'input'" in error["message"]

    run(main())
