"""Deployments of Azure: clients name models, the server gets the names of its deployments, and prices follow models."""

import msgspec
import pytest

from integration.batching import FORM as FILE_FORM
from integration.batching import form as file_form
from integration.batching import jsonl, line
from integration.gateway import run, serving
from integration.test_passthrough import FORM, TRANSCRIPTIONS, form
from integration.wire import ask
from pointsman.simulate import Settings

AZURE = {
    "type": "azure",
    "keys": {"only": "env.K"},
    "deployments": {"gpt-4o-mini": "my-mini", "whisper": "my-ears"},
}
ENVIRON = {"K": "a-key-of-azure"}
SIMULATED = {"azure": Settings(models=("my-mini", "my-ears"))}


@pytest.mark.parametrize("model", ["gpt-4o-mini", "azure/gpt-4o-mini", "GPT-4o-mini", "openai/gpt-4o-mini"])
def test_model_is_served_by_its_deployment_at_its_own_price(model: str) -> None:
    async def main() -> None:
        async with serving(providers=SIMULATED, provider_settings={"azure": AZURE}, environ=ENVIRON) as gateway:
            answer = await gateway.ask({"model": model, "messages": [{"role": "user", "content": "hi"}]})
            assert answer.status == 200, answer
            (sent,) = gateway.providers["azure"].requests
            assert msgspec.json.decode(sent.body)["model"] == "my-mini"
            assert sent.headers["api-key"] == ENVIRON["K"]
            assert "authorization" not in sent.headers
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["model"] == "gpt-4o-mini"
            assert record["cost_nano"] > 0

    run(main())


def test_form_names_its_deployment() -> None:
    parts = (("model", b"azure/whisper", None), ("file", b"sound", "a.wav"))

    async def main() -> None:
        async with serving(providers=SIMULATED, provider_settings={"azure": AZURE}, environ=ENVIRON) as gateway:
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(*parts), FORM)
            assert received.status == 200, received
            (sent,) = gateway.providers["azure"].requests
            assert sent.body == form(("model", b"my-ears", None), parts[1])

    run(main())


def test_model_without_a_deployment_is_not_served_by_its_bare_name() -> None:
    async def main() -> None:
        async with serving(providers=SIMULATED, provider_settings={"azure": AZURE}, environ=ENVIRON) as gateway:
            answer = await gateway.ask({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]})
            assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")

    run(main())


TUNED = {
    "type": "openai",
    "keys": {"main": "env.K", "tuned": {"value": "env.T", "deployments": {"my-tune": "ft:gpt-4o-mini:acme::2"}}},
}
FINE_TUNED = Settings(models=("ft:gpt-4o-mini:acme::2",), kept_requests=8)


@pytest.mark.parametrize("model", ["my-tune", "openai/my-tune"])
def test_own_name_is_sent_with_its_key_alone(model: str) -> None:
    environ = {"K": "key-main", "T": "key-tuned"}

    async def main() -> None:
        async with serving(
            providers={"openai": FINE_TUNED}, provider_settings={"openai": TUNED}, environ=environ
        ) as gateway:
            for _ in range(8):
                answer = await gateway.ask({"model": model, "messages": [{"role": "user", "content": "hi"}]})
                assert answer.status == 200, answer
            sent = gateway.providers["openai"].requests
            assert {msgspec.json.decode(one.body)["model"] for one in sent} == {"ft:gpt-4o-mini:acme::2"}
            assert {one.headers["authorization"] for one in sent} == {"Bearer key-tuned"}

    run(main())


def test_file_of_a_batch_names_an_own_name_at_its_key_alone() -> None:
    environ = {"K": "key-main", "T": "key-tuned"}

    async def main() -> None:
        async with serving(
            providers={"openai": FINE_TUNED}, provider_settings={"openai": TUNED}, environ=environ
        ) as gateway:
            for _ in range(8):
                data = file_form(jsonl([line(1, "my-tune")]))
                answer = await gateway.ask(data, path="/v1/files", headers=FILE_FORM)
                assert answer.status == 200, answer
            sent = gateway.providers["openai"].requests
            assert {one.headers["authorization"] for one in sent} == {"Bearer key-tuned"}
            assert all(b'"ft:gpt-4o-mini:acme::2"' in one.body for one in sent)

    run(main())
