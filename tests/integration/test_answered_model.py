"""Answers of two providers to one public name differ only in the fields listed here."""

from typing import Any

import pytest
from openai import AsyncOpenAI

from integration.gateway import chat, run, serving
from pointsman.simulate import Settings

ALPHA, BETA = "alpha/gpt-4o-mini", "beta/gpt-4o"
TWO = {"alpha": Settings(seed=1), "beta": Settings(seed=2)}

# The fields that may differ between answers of two providers, as in the guide on failover.
MAY_DIFFER = {"id", "created", "system_fingerprint", "usage", "choices"}


def fields(answer: Any) -> dict[str, Any]:
    return dict(answer.model_dump())


def differing(one: Any, other: Any) -> set[str]:
    ours, theirs = fields(one), fields(other)
    assert ours.keys() == theirs.keys()
    return {name for name in ours if ours[name] != theirs[name]}


@pytest.mark.parametrize("fault", [None, "ignore_stream"])
@pytest.mark.parametrize("response_model", ["served", "requested"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_answers_of_two_providers_differ_in_listed_fields_only(
    stream: bool, response_model: str, fault: str | None
) -> None:
    async def main() -> None:
        models = {"chat": {"strategy": "priority", "targets": [ALPHA, BETA], "response_model": response_model}}
        async with (
            serving(providers=TWO, models=models) as gateway,
            AsyncOpenAI(base_url=gateway.base_url, api_key="none") as client,
        ):
            gateway.providers["beta"].set_fault(fault)
            answers = []
            for ill in (None, "status=500"):
                gateway.providers["alpha"].set_fault(ill)
                answer = await client.chat.completions.create(**chat(stream=stream))
                answers.append([part async for part in answer] if stream else [answer])
            gateway.providers["alpha"].set_fault(None)
            ours, theirs = answers
            for one, other in zip(ours, theirs, strict=False):
                allowed = MAY_DIFFER | ({"model"} if response_model == "served" else set())
                assert differing(one, other) <= allowed
            names = {part.model for part in (*ours, *theirs)}
            assert names == ({"chat"} if response_model == "requested" else {"gpt-4o-mini", "gpt-4o"})

    run(main())


def test_embeddings_name_the_requested_model() -> None:
    async def main() -> None:
        target = {"targets": ["alpha/text-embedding-3-small"], "response_model": "requested"}
        async with (
            serving(providers=TWO, models={"embed": target}) as gateway,
            AsyncOpenAI(base_url=gateway.base_url, api_key="none") as client,
        ):
            assert (await client.embeddings.create(model="embed", input="a")).model == "embed"

    run(main())
