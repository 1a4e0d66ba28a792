"""Names of attributes: those of the conventions, or the gateway's own."""

import msgspec
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, http_attributes, url_attributes
from opentelemetry.semconv.attributes import error_attributes

from fakes.control import record
from pointsman.admin.export.attributes import (
    ATTEMPT_ATTRIBUTES,
    REQUEST_ATTRIBUTES,
    attempt_attributes,
    request_attributes,
)
from pointsman.domain.records import AttemptRecord, RequestRecord

# Newer than the package: https://github.com/open-telemetry/semantic-conventions-genai, version 0.1.0.
NEWER = {"gen_ai.usage.cache_write.input_tokens"}
DEPRECATED = {"gen_ai.system", "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"}


def full_record() -> RequestRecord:
    one = msgspec.json.decode(record("01933b3c-0000-7abc-8000-0123456789ab", 1e9), type=RequestRecord)
    for name in RequestRecord.__struct_fields__:
        if getattr(one, name) in (None, ""):
            setattr(one, name, 7 if name.endswith("_us") or name.startswith("tokens") else f"a-{name}")
    one.stream, one.verdict_codes, one.tokens_cached, one.tokens_cache_write, one.tokens_reasoning = (
        True,
        ("a",),
        1,
        2,
        3,
    )
    return one


def test_names_are_those_of_the_conventions() -> None:
    modules = (gen_ai_attributes, http_attributes, url_attributes, error_attributes)
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)} | NEWER
    names = {*REQUEST_ATTRIBUTES, *ATTEMPT_ATTRIBUTES}
    assert {name for name in names if not name.startswith("pointsman.")} <= known
    assert not names & DEPRECATED


def test_every_attribute_is_described_and_used() -> None:
    one = full_record()
    assert request_attributes(one, {}).keys() == REQUEST_ATTRIBUTES.keys()
    attempt = AttemptRecord(
        provider="up", model="m", key="k", outcome="truncated", start_us=1, duration_us=2, status=200, first_byte_us=5
    )
    attempt.usage_source = "provider"
    assert attempt_attributes(one, attempt, 1, {}).keys() == ATTEMPT_ATTRIBUTES.keys()


def test_providers_and_operations_have_their_names_in_the_conventions() -> None:
    one = full_record()
    one.operation, one.provider = "embedding", "frankfurt"
    found = request_attributes(one, {"frankfurt": "azure"})
    assert found["gen_ai.operation.name"] == "embeddings"
    assert found["gen_ai.provider.name"] == "azure.ai.openai"
    assert found["pointsman.provider"] == "frankfurt"
    one.operation = "rerank"
    assert request_attributes(one, {"frankfurt": "jina"})["gen_ai.operation.name"] == "rerank"


def test_attributes_have_no_texts_of_the_client_beyond_its_ids() -> None:
    values = str(request_attributes(full_record(), {}))
    assert "a-client'" not in values
    assert "a-client_request_id" not in values
    assert "a-message" not in values
