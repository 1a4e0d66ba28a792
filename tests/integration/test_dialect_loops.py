"""A loop with tools and reasoning moves to a provider of another dialect between two requests. Simulated providers
reject reasoning of others, and calls without results, as the real ones do."""

import itertools
import json
from typing import Any

import pytest

from integration.dialects import DIALECTS, PATHS, TYPES, Dialect
from integration.gateway import run, serving
from integration.governance import prices
from integration.loops import begin, read, resume
from pointsman.simulate.settings import Settings

MODEL = "claude-sonnet-4-5"  # takes a budget for thinking, not an effort
MOVES = [(first, second) for first, second in itertools.product(DIALECTS, DIALECTS) if first != second]
REASONING: dict[Dialect, list[dict[str, Any]]] = {
    "chat": [{"reasoning_effort": "low"}],
    "messages": [{"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"thinking": {"type": "adaptive"}}],
    "responses": [{"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning": {"effort": "high"}}],
}
BOUND = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("first", "second"), MOVES)
@pytest.mark.parametrize("ours", DIALECTS)
def test_loop_moves_to_another_dialect(ours: Dialect, first: Dialect, second: Dialect, stream: bool) -> None:
    async def main() -> None:
        given = Settings(models=(MODEL, f"anthropic/{MODEL}"), parallel_calls=2, shows_reasoning=True)
        async with serving(
            providers={"a": given, "b": given},
            provider_settings={"a": {"type": TYPES[first]}, "b": {"type": TYPES[second]}},
            models={"chat": [f"a/{MODEL}", f"b/{MODEL}"]},
            pricing=prices(f"a/{MODEL}", f"b/{MODEL}"),
        ) as gateway:
            how = {"path": f"/v1{PATHS[ours]}"}
            for fields in REASONING[ours]:
                gateway.providers["a"].set_fault(None)
                bounded: dict[str, Any] = {BOUND[ours]: 2000, **fields}
                body = begin(ours, stream=stream, **bounded)
                reply = read(ours, await gateway.ask(body, **how))
                assert len(reply.calls) == 2
                gateway.providers["a"].set_fault("status=500")
                answer = await gateway.ask(resume(ours, body, reply), **how)
                assert answer.status == 200, (fields, answer)
                assert answer.headers["x-pointsman-provider"] == "b"
                assert read(ours, answer).text
            bills = [entry for one in gateway.providers.values() for entry in one.bill.entries]
            assert [entry.outcome for entry in bills if entry.charged_nano] == ["complete"] * 2 * len(REASONING[ours])

    run(main())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", ["chat", "responses"])
def test_client_that_keeps_no_reasoning_may_continue(ours: Dialect, stream: bool) -> None:
    """Most clients of chats send back only texts and calls. A Claude with a budget must not get one then."""

    async def main() -> None:
        async with serving(
            providers={"a": Settings(models=(MODEL,), parallel_calls=2)},
            provider_settings={"a": {"type": "anthropic"}},
            models={"chat": [f"a/{MODEL}"]},
            pricing=prices(f"a/{MODEL}"),
        ) as gateway:
            fields: dict[str, Any] = {BOUND[ours]: 2000, **REASONING[ours][0]}
            body = begin(ours, stream=stream, **fields)
            reply = read(ours, await gateway.ask(body, path=f"/v1{PATHS[ours]}"))
            known = ("role", "content", "tool_calls")
            if ours == "chat":
                reply.kept = [{name: turn[name] for name in known if name in turn} for turn in reply.kept]
            else:
                reply.kept = [item for item in reply.kept if item["type"] != "reasoning"]
            body = resume(ours, body, reply)
            assert read(ours, await gateway.ask(body, path=f"/v1{PATHS[ours]}")).text
            sent = [json.loads(request.body).get("thinking", {}) for request in gateway.providers["a"].requests]
            assert [thinking.get("type") for thinking in sent] == ["enabled", None]

    run(main())
