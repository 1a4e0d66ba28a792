"""Claude Code finds the public names as models of its own vendor, and may request them in every dialect."""

import json
from typing import Any

import pytest
from anthropic import NotFoundError, PermissionDeniedError

from integration.dialects import ANSWERS, DIALECTS, Dialect, Served, sdks, serving_dialects
from integration.gateway import run
from integration.governance import governance, key_value
from integration.wire import ask

RULES = governance({"agent": {"allow_models": ["chat"]}, "other": {"allow_models": ["else"]}})


def test_official_sdk_pages_through_the_list() -> None:
    async def main() -> None:
        async with (
            serving_dialects("messages", models={f"n{n}": ["a/m-1"] for n in range(5)}) as (gateway, _),
            sdks(gateway) as client,
        ):
            found = [model.id async for model in client.anthropic.models.list(limit=3)]
            names = [f"n{n}" for n in range(5)]
            assert found[:10] == [one for name in names for one in (name, f"claude-via-{name}")]
            assert len(found) == len(set(found))
            back = await client.anthropic.models.list(limit=3, before_id=found[4])
            assert ([model.id for model in back.data], back.has_more) == (found[1:4], True)
            one = await client.anthropic.models.retrieve("claude-via-n1")
            assert (one.id, one.display_name, one.type) == ("claude-via-n1", "n1", "model")
            with pytest.raises(NotFoundError):
                await client.anthropic.models.retrieve("claude-via-nobody")
            assert "claude-via-n1" not in [model.id async for model in client.openai.models.list()]

    run(main())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_request_for_a_second_name_is_one_for_the_public_name(dialect: Dialect) -> None:
    async def main() -> None:
        async with serving_dialects(dialect, governance=RULES) as (gateway, (provider,)):
            provider.answer = Served(ANSWERS[dialect]("hello"))
            asked: list[Any] = [{"role": "user", "content": "hi"}]
            async with sdks(gateway, key_value("agent")) as client:
                name = "claude-via-chat"
                await client.anthropic.messages.create(model=name, messages=asked, max_tokens=100)
                await client.openai.chat.completions.create(model=name, messages=asked)
                await client.openai.responses.create(model=name, input="hi")
                assert [model.id async for model in client.anthropic.models.list()] == ["chat", "claude-via-chat"]
            async with sdks(gateway, key_value("other")) as client:
                with pytest.raises(PermissionDeniedError):
                    await client.anthropic.messages.create(model=name, messages=asked, max_tokens=100)
            records = [one for one in await gateway.wait_for_records(5) if one.get("model")]
            assert [one["model"] for one in records] == ["chat"] * 4
            assert provider.last_body["model"] == "m-1"

    run(main())


def test_probes_of_claude_code_are_answered_without_a_key() -> None:
    async def main() -> None:
        async with serving_dialects("messages", governance=RULES) as (gateway, (provider,)):
            for path in ("/", "/anthropic"):
                received = await ask(gateway.base_url, "HEAD", path)
                assert (received.status, received.body) == (200, b"")
            refused = await ask(gateway.base_url, "HEAD", "/v1/messages")
            assert (refused.status, refused.headers["allow"], refused.body) == (405, "POST", b"")
            listed = await ask(gateway.base_url, "GET", "/v1/models", b"", {"anthropic-version": "2023-06-01"})
            assert (listed.status, json.loads(listed.body)["error"]["type"]) == (401, "authentication_error")
            assert provider.requests == []

    run(main())
