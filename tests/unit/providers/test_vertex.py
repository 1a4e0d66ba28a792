"""Vertex AI: addresses by region, paths by publisher, the two kinds of credentials, and errors of both authors."""

import json
from typing import Any

import pytest

from fakes.anthropic import HELLO, message_call
from fakes.configuration import OPEN, compiled, errors
from fakes.gemini import answer, stream_of, text
from fakes.google_errors import google_error
from fakes.wire import CHAT, drain, parse
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import AccessToken, Secret
from pointsman.domain.outcomes import Usage
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey, candidate
from pointsman.providers import PROVIDERS, codec_for
from pointsman.providers.api import WholeAnswer

REGIONAL = "providers: {vertex: {keys: {a: {google: adc}}, project: my-project, region: europe-west4}}"
EXPRESS = "providers: {vertex: {keys: {a: env.K}}}"
PLACE = "/v1/projects/my-project/locations/europe-west4"
CLAUDE = "claude-sonnet-4-5@20250929"


def endpoint(text: str = REGIONAL) -> Endpoint:
    return snapshot(text).endpoints["vertex"]


def snapshot(text: str) -> Snapshot:
    return compiled(OPEN + text, {"K": "AIza-key"}).snapshot


def encoded(call: Call, model: str, text: str = REGIONAL) -> tuple[Candidate, UpstreamRequest]:
    item = candidate(endpoint(text), model)
    key = item.keys[0]
    if not key.is_concrete:
        key = ProviderKey("a", AccessToken("ya29.token"))
    return item, codec_for(item, call.operation, call.head.dialect).encode(call, item, key)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_region_has_its_own_address(region: str, host: str) -> None:
    found = endpoint(REGIONAL.replace("europe-west4", region))
    assert (found.origin.host, found.base_path, found.catalog) == (host, "/v1", "vertex")


@pytest.mark.parametrize("missing", ["region: europe-west4", "project: my-project"])
def test_account_requires_project_and_region(missing: str) -> None:
    name = missing.partition(":")[0]
    assert errors(OPEN + REGIONAL.replace(f", {missing}", "")) == [
        f"providers.vertex: `{name}` is required for the type vertex; set it"
    ]


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-2.5-pro", False, "publishers/google/models/gemini-2.5-pro:generateContent"),
        ("gemini-2.5-pro", True, "publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
        (CLAUDE, False, f"publishers/anthropic/models/{CLAUDE}:rawPredict"),
        (CLAUDE, True, f"publishers/anthropic/models/{CLAUDE}:streamRawPredict"),
        ("anthropic/claude-opus-5", False, "publishers/anthropic/models/claude-opus-5:rawPredict"),
        ("meta/llama-4-scout-17b-16e-instruct-maas", True, "endpoints/openapi/chat/completions"),
    ],
)
def test_path_follows_the_publisher(model: str, stream: bool, path: str) -> None:
    _, request = encoded(parse({**CHAT, "stream": stream}), model)
    assert request.target.decode() == f"{PLACE}/{path}"
    assert b"authorization: Bearer ya29.token\r\n" in request.headers
    assert b"goog-api-key" not in request.headers


def test_claude_gets_the_version_in_the_body_and_no_model() -> None:
    _, request = encoded(message_call({**HELLO, "max_tokens": 20, "stream": True}), CLAUDE)
    sent = json.loads(request.body)
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in sent
    assert (sent["stream"], sent["max_tokens"]) == (True, 20)


def test_claude_needs_a_bound_and_older_ones_a_budget_for_reasoning() -> None:
    item, request = encoded(parse({**CHAT, "reasoning_effort": "low"}), CLAUDE)
    assert item.needs_bound
    assert not candidate(endpoint(), "gemini-2.5-pro").needs_bound
    assert json.loads(request.body)["thinking"]["type"] == "enabled"
    _, newer = encoded(parse({**CHAT, "reasoning_effort": "low"}), "claude-opus-5@default")
    assert json.loads(newer.body)["thinking"]["type"] != "enabled"


@pytest.mark.parametrize("model", ["claude-opus-4-5@default", "claude-opus-4-5@20251101", "claude-sonnet-4@20250514"])
def test_version_of_a_claude_does_not_hide_its_generation(model: str) -> None:
    _, request = encoded(parse({**CHAT, "reasoning_effort": "low"}), model)
    assert json.loads(request.body)["thinking"]["type"] == "enabled"


def test_deployment_does_not_hide_the_model() -> None:
    named = REGIONAL.replace("region:", "deployments: {mine: claude-sonnet-4-5@20250929}, region:")
    _, request = encoded(parse({**CHAT, "reasoning_effort": "low"}), "mine", named)
    assert json.loads(request.body)["thinking"]["type"] == "enabled"


def test_tokens_of_claude_are_counted_at_a_path_of_their_own() -> None:
    _, request = encoded(message_call(counts=True), CLAUDE)
    assert request.target.decode() == f"{PLACE}/publishers/anthropic/models/count-tokens:rawPredict"
    assert json.loads(request.body)["model"] == CLAUDE


def test_embeddings_are_predictions() -> None:
    call = parse({"model": "m", "input": "a"}, "/embeddings")
    item, request = encoded(call, "text-embedding-005")
    assert request.target.decode() == f"{PLACE}/publishers/google/models/text-embedding-005:predict"
    assert b"authorization: Bearer ya29.token\r\n" in request.headers
    codec = codec_for(item, "embedding", "openai")
    answered = b'{"predictions":[{"embeddings":{"values":[1.5],"statistics":{"token_count":4}}}]}'
    found = codec.decode(call, answered)
    assert isinstance(found, WholeAnswer)
    assert json.loads(found.body)["data"] == [{"object": "embedding", "index": 0, "embedding": [1.5]}]
    assert found.usage == codec.usage_in(answered) == Usage(4, 0)
    assert isinstance(codec.decode(call, b'{"predictions":[]}'), Failure)
    assert codec.usage_in(b"{") is None


def test_express_mode_takes_an_api_key_without_project_and_region() -> None:
    found = endpoint(EXPRESS)
    assert found.origin.host == "aiplatform.googleapis.com"
    _, request = encoded(parse(CHAT), "gemini-2.5-flash", EXPRESS)
    assert request.target == b"/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert b"x-goog-api-key: AIza-key\r\n" in request.headers
    assert b"authorization" not in request.headers


def test_answers_of_both_authors_are_read() -> None:
    def codec(model: str, call: Call) -> Any:
        return codec_for(candidate(endpoint(), model), call.operation, call.head.dialect)

    asked = parse({**CHAT, "stream": True})
    decoder = codec("gemini-2.5-pro", asked).decoder(asked, 10_000, 1.0)
    out = drain(decoder, [stream_of(answer(text("hello"), finish="STOP"))])
    assert b"hello" in out
    assert decoder.is_done
    message = message_call()
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 2},
    }
    whole = codec(CLAUDE, message).decode(message, json.dumps(said).encode())
    assert isinstance(whole, WholeAnswer)
    assert whole.usage is not None
    assert (whole.usage.tokens_in, whole.usage.tokens_cached, whole.usage.tokens_out) == (13, 4, 2)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, google_error(401, "UNAUTHENTICATED", "Request had invalid credentials."), failures.CREDENTIAL_REJECTED),
        (
            403,
            google_error(
                403, "PERMISSION_DENIED", "Vertex AI API has not been used in project p before or it is disabled"
            ),
            failures.CREDENTIAL_REJECTED,
        ),
        (
            403,
            google_error(403, "PERMISSION_DENIED", "This API method requires billing to be enabled."),
            failures.BALANCE_EMPTY,
        ),
        (
            403,
            google_error(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource"),
            failures.UPSTREAM_MODEL_DENIED,
        ),
        (
            404,
            google_error(404, "NOT_FOUND", "Publisher Model `projects/p/publishers/x/models/m` was not found"),
            failures.UPSTREAM_MODEL_MISSING,
        ),
        (
            400,
            google_error(400, "FAILED_PRECONDITION", "Publisher Model x is not servable in region us-west1."),
            failures.UPSTREAM_MODEL_MISSING,
        ),
        (429, google_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for base model"), failures.UPSTREAM_RATE_LIMITED),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, failures.UPSTREAM_OVERLOADED),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
            failures.CONTEXT_TOO_LONG,
        ),
    ],
)
@pytest.mark.parametrize("model", ["gemini-2.5-pro", CLAUDE])
def test_errors_of_google_and_anthropic_are_classified_for_both(
    model: str, status: int, body: dict[str, Any], kind: Kind
) -> None:
    codec = codec_for(candidate(endpoint(), model), "chat", "openai")
    assert codec.failure(status, {}, json.dumps(body).encode(), 0.0).kind is kind


def test_models_of_the_catalog_have_prices_and_meet_their_other_names() -> None:
    found = compiled(OPEN + "providers: {vertex: {keys: {a: env.K}}, anthropic: env.K}", {"K": "AIza-key"}).snapshot
    catalog = found.pricing.catalog
    vertex, own = catalog.find("vertex", CLAUDE), catalog.find("anthropic", "claude-sonnet-4-5-20250929")
    assert vertex is not None
    assert own is not None
    assert vertex.name == own.name


def test_secret_is_hidden() -> None:
    assert PROVIDERS["vertex"].auth(Secret("")) == b""
    assert PROVIDERS["vertex"].auth(AccessToken("t")) == b"authorization: Bearer t\r\n"
