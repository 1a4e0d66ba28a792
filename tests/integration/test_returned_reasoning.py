"""The reasoning of an answer comes back in the next turn, also with a virtual key that owns no stored object."""

from typing import Any

import pytest

from integration.dialects import ANSWERS, DIALECTS, SSE, STREAMS, Dialect, Served, sdks, serving_dialects
from integration.gateway import run
from integration.governance import governance, key_value


@pytest.mark.parametrize("store", [False, None])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_output_of_a_response_is_accepted_as_input(dialect: Dialect, store: bool | None) -> None:
    async def main() -> None:
        rules = governance({"agent": {}, "other": {}})
        async with serving_dialects(dialect, governance=rules) as (gateway, (provider,)):
            given: dict[str, Any] = {} if store is None else {"store": store}
            turns: list[Any] = [{"role": "user", "content": "Weather?"}]
            provider.answer = Served(STREAMS[dialect], kind=SSE)
            async with sdks(gateway, key_value("agent")) as client:
                events = await client.openai.responses.create(model="chat", input=turns, stream=True, **given)
                (first,) = [event.response async for event in events if event.type == "response.completed"]
                assert first.output[0].type == "reasoning"
                turns += [item.model_dump(exclude_none=True) for item in first.output]
                turns += [
                    {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
                    for item in first.output
                    if item.type == "function_call"
                ]
                provider.answer = Served(ANSWERS[dialect]("Rain."))
                second = await client.openai.responses.create(model="chat", input=turns, **given)
                assert second.output_text == "Rain."

    run(main())
