"""Costs that do not depend on the size of a request stay within a budget.

Providers bill tools that they run, and additions to prompts. For each kind, the limit is used up and the provider has
charged no more. A request whose cost has no known bound is rejected, and the message names the field.
"""

from typing import Any

import pytest

from integration.client import Client
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, prices, settings, usd

LIMIT_USD = 0.4
WINDOW = 128_000
ADDED = 20_000  # tokens for each addition
FEES_USD = {
    "web_search": 0.01,
    "web_search_preview": 0.025,
    "web_search_options": 0.025,
    "file_search": 0.0025,
    "code_interpreter": 0.03,
    "image_generation": 0.02,
    "mcp": 0,
    "live_search": 0.0025,
    "plugin:web": 0.004,
}
MORE_FIELDS = ("search_parameters", "plugins", "cached_content")
MODEL = "alpha/gpt-4o-mini"
TEXT = {"type": "input_text", "text": "What is it?"}


def response_with(field: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return field, "/v1/responses", {"model": "chat", "input": "Say something", "max_output_tokens": 50, **fields}


def chat_with(field: str, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    return field, "/v1/chat/completions", chat(max_tokens=50, **fields)


def with_part(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part]}]


TOOLS = [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a search": response_with("tools", tools=[{"type": "web_search"}]),
    "a search of an older kind": response_with("tools", tools=[{"type": "web_search_preview_2025_03_11"}], stream=True),
    "a search of files": response_with("tools", tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}]),
    "several tools": response_with("tools", tools=TOOLS, max_tool_calls=3, stream=True),
    "images": response_with("tools", tools=[{"type": "image_generation"}]),
    "a remote server": response_with(
        "tools", tools=[{"type": "mcp", "server_label": "x", "server_url": "https://host/mcp"}]
    ),
    "an earlier response": response_with("previous_response_id", previous_response_id="resp_1"),
    "a conversation": response_with("conversation", conversation="conv_1", stream=True),
    "a stored prompt": response_with("prompt", prompt={"id": "pmpt_1"}),
    "an item by its id": response_with("input", input=[{"type": "item_reference", "id": "msg_1"}]),
    "a file": response_with("file_id", input=with_part({"type": "input_file", "file_id": "file-1"})),
    "an image": response_with("file_id", input=with_part({"type": "input_image", "file_id": "file-1"})),
    "a file by its address": response_with(
        "file_url", input=with_part({"type": "input_file", "file_url": "https://host/x.pdf"})
    ),
    "a background response": response_with("tools", background=True, tools=[{"type": "web_search"}]),
    "a chat's search": chat_with("web_search_options", web_search_options={}),
    "a chat's sources": chat_with("search_parameters", search_parameters={"mode": "on"}, stream=True),
    "a chat's plugins": chat_with("plugins", plugins=[{"id": "web", "max_results": 3}]),
    "a chat's file": chat_with("file_id", messages=with_part({"type": "file", "file": {"file_id": "file-1"}})),
    "a chat's document of another dialect": chat_with(
        "content", messages=with_part({"type": "document", "document": {"file_url": "https://host/x.pdf"}})
    ),
    "a chat's frames": chat_with(
        "video", messages=with_part({"type": "video", "video": ["https://host/1.png", "https://host/2.png"]})
    ),
    "a chat's video": chat_with(
        "video_url", messages=with_part({"type": "video_url", "video_url": {"url": "https://host/x.mp4"}})
    ),
}


def governed(terms: dict[str, Any], **provider: Any) -> Any:
    fees = {name: round(usd_each * NANO) for name, usd_each in FEES_USD.items()}
    fees["web_search_preview_2025_03_11"] = fees["web_search_preview"]
    fields = {"tool_fees": fees, "added_tokens": ADDED, "more_fields": MORE_FIELDS, "tool_uses": 2, **provider}
    pricing = prices(MODEL)
    pricing["overrides"][0] |= terms
    return serving(
        providers={"alpha": settings(output_tokens=20.0, **fields)},
        models={"chat": [MODEL]},
        governance=governance({"me": {"budgets": usd(LIMIT_USD)}}),
        pricing=pricing,
        routing={"unowned_state": "allow"},
    )


async def spend(gateway: Gateway, path: str, body: dict[str, Any]) -> list[int]:
    """Send requests until the limit has no room for one more."""
    client = await Client.connect(gateway.port)
    statuses: list[int] = []
    while 402 not in statuses[-1:]:
        answer = await client.ask(body, path=path, headers=bearer("me"))
        statuses.append(answer.status)
        assert answer.status in (200, 402), answer.body
    await client.close()
    return statuses


@pytest.mark.parametrize("kind", KINDS)
def test_unbounded_costs_use_up_the_limit_and_do_not_exceed_it(kind: str) -> None:
    field, path, body = KINDS[kind]

    async def main() -> None:
        async with governed({"context_tokens": WINDOW, "tools_usd": FEES_USD}) as gateway:
            statuses = await spend(gateway, path, body)
            assert len(statuses) > 2
            bill, limit = billed_nano(gateway), round(LIMIT_USD * NANO)
            assert bill <= limit
            assert bill >= limit / 2, "released amounts were not used"
            records = await gateway.wait_for_records(len(statuses))
            charged = sum(record.get("cost_nano", 0) for record in records)
            assert bill <= charged <= limit
            entry = gateway.providers["alpha"].bill.entries[0]
            assert entry.tokens_in >= ADDED, "the provider added nothing to the prompt"
            if field != "plugins":
                assert charged == bill, "the charge differs from the reported usage"

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_field_without_a_known_bound_is_rejected_by_name(kind: str) -> None:
    field, path, body = KINDS[kind]

    async def main() -> None:
        async with governed({}) as gateway:
            answer = await gateway.ask(body, path=path, headers=bearer("me"))
            assert answer.status == 403, answer.body
            assert f"'{field}'" in answer.json["error"]["message"]
            assert billed_nano(gateway) == 0

    run(main())


def test_more_uses_than_reserved_are_charged_and_count_as_an_overrun() -> None:
    _, path, body = KINDS["a search"]

    async def main() -> None:
        async with governed({"context_tokens": WINDOW, "tools_usd": FEES_USD}, tool_uses=9) as gateway:
            assert (await gateway.ask(body, path=path, headers=bearer("me"))).status == 200
            (record,) = await gateway.wait_for_records(1)
            assert record["cost_nano"] == billed_nano(gateway)
            assert (await gateway.metrics())["pointsman_overruns_total"] == 1

    run(main())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("usage_first", [True, False])
def test_usage_of_a_response_is_charged_at_any_place(usage_first: bool, stream: bool) -> None:
    tools = [{"type": "function", "name": f"f{number}", "description": "x" * 1000} for number in range(40)]
    _, path, body = response_with("", tools=tools, instructions="y" * 20_000, stream=stream)

    async def main() -> None:
        async with governed({}, usage_first=usage_first) as gateway:
            assert (await gateway.ask(body, path=path, headers=bearer("me"))).status == 200
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["usage_source"] == "provider"
            assert record["cost_nano"] == billed_nano(gateway)

    run(main())
