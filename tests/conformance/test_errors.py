"""The fault of each error, per provider, from its own documentation and from observed answers.

Every provider needs samples here or in `fakes.hosted_errors`: at least its error for a prompt that is too long.
"""

import json

import pytest

from fakes import amazon_errors, google_errors
from fakes.error_samples import (
    BROKEN,
    DENIED,
    EMPTY,
    FILTERED,
    FORBIDDEN,
    LACKING,
    LIMITED,
    MISSING,
    OVERLOADED,
    REJECTED,
    REJECTED_REQUEST,
    TOO_LARGE,
    TOO_LONG,
    Sample,
    anthropic_error,
    openai_error,
)
from fakes.hosted_errors import HOSTED
from fakes.undocumented_errors import UNDOCUMENTED
from fakes.wire import PATH_OF
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Scope
from pointsman.domain.operations import Operation
from pointsman.providers import PROVIDERS
from pointsman.routing.health import blocks_key, covers_whole_key

EVERYWHERE = [
    Sample(401, openai_error("Incorrect API key provided: sk-***.", "invalid_api_key"), REJECTED),
    Sample(400, openai_error("Invalid value: 'Incorrect API key provided'"), REJECTED_REQUEST),
    Sample(403, openai_error("this text is unknown"), FORBIDDEN, Scope.ATTEMPT),
    Sample(403, openai_error("no: 'your organization has no access' is not allowed here"), FORBIDDEN, Scope.ATTEMPT),
    Sample(403, openai_error("You do not have access to the model m."), DENIED),
    Sample(
        400, openai_error("invalid api key is not a model that is served here"), REJECTED_REQUEST
    ),  # a model of that name was requested
    Sample(429, openai_error("slow down"), LIMITED),
    Sample(429, openai_error("Request too large for m on tokens per min (TPM): Limit 10, Requested 20."), TOO_LARGE),
    Sample(413, "<html><h1>413 Request Entity Too Large</h1></html>", TOO_LARGE),
    Sample(404, "404 page not found", LACKING, Scope.OPERATION),
    Sample(404, {"detail": "Not Found"}, LACKING, Scope.OPERATION),
    Sample(404, "", LACKING),
    Sample(405, {"detail": "Method Not Allowed"}, LACKING, Scope.OPERATION),
    Sample(501, "", LACKING),
    Sample(418, openai_error("a teapot"), REJECTED_REQUEST),
    Sample(500, openai_error("broken"), BROKEN),
    Sample(503, openai_error("busy"), OVERLOADED),
]


SAMPLES: dict[str, list[Sample]] = {
    "bedrock": amazon_errors.ERRORS,
    "gemini": [Sample(*row) for row in google_errors.ERRORS],
    "vertex": [Sample(*row) for row in (*google_errors.ERRORS, *google_errors.OF_VERTEX)],
    **HOSTED,
    **UNDOCUMENTED,
    # https://platform.claude.com/docs/en/api/errors
    "anthropic": [
        Sample(
            400,
            anthropic_error("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
            TOO_LONG,
        ),
        Sample(400, anthropic_error("invalid_request_error", "max_tokens: Field required"), REJECTED_REQUEST),
        Sample(
            400,
            anthropic_error("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            failures.BALANCE_EMPTY,
        ),
        Sample(401, anthropic_error("authentication_error", "invalid x-api-key"), REJECTED),
        Sample(402, anthropic_error("billing_error", "There is an issue with your billing."), failures.BALANCE_EMPTY),
        Sample(403, anthropic_error("permission_error", "Your API key does not have permission."), DENIED),
        Sample(404, anthropic_error("not_found_error", "model: claude-9"), failures.UPSTREAM_MODEL_MISSING),
        Sample(413, anthropic_error("request_too_large", "Request exceeds the maximum size"), TOO_LARGE),
        Sample(429, anthropic_error("rate_limit_error", "This request would exceed your rate limit"), LIMITED),
        Sample(500, anthropic_error("api_error", "Internal server error"), BROKEN),
        Sample(504, anthropic_error("timeout_error", "The request timed out"), BROKEN),
        Sample(529, anthropic_error("overloaded_error", "Overloaded"), OVERLOADED),
    ],
    # https://platform.openai.com/docs/guides/error-codes, …/docs/guides/rate-limits
    "openai": [
        Sample(
            400,
            openai_error("This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
            TOO_LONG,
        ),
        Sample(
            401,
            openai_error("You have insufficient permissions for this operation. Missing scopes: model.request"),
            DENIED,
        ),
        Sample(403, openai_error("Project `p` does not have access to model `gpt-4`", "model_not_found"), DENIED),
        Sample(
            403,
            openai_error("Country, region, or territory not supported", "unsupported_country_region_territory"),
            REJECTED,
        ),
        Sample(
            404,
            openai_error("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"),
            MISSING,
        ),
        Sample(404, openai_error("Invalid URL (POST /v1/embedings)"), LACKING, Scope.OPERATION),
        Sample(
            429,
            openai_error(
                "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): …", "rate_limit_exceeded"
            ),
            LIMITED,
        ),
        Sample(
            429,
            openai_error(
                "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
                "Requested 342389.",
                "rate_limit_exceeded",
                "tokens",
            ),
            TOO_LARGE,
        ),
        Sample(
            429, openai_error("You exceeded your current quota, please check your plan", "insufficient_quota"), EMPTY
        ),
        Sample(429, openai_error("The engine is currently overloaded, please try again later"), OVERLOADED),
        Sample(400, openai_error("Invalid prompt: your prompt was flagged", "invalid_prompt"), FILTERED),
        Sample(400, openai_error("Your request was rejected by the safety system.", "moderation_blocked"), FILTERED),
    ],
    # https://console.groq.com/docs/errors, …/docs/rate-limits, …/docs/flex-processing; continuedev/continue issue 10218
    "groq": [
        Sample(
            400,
            openai_error("Please reduce the length of the messages or completion.", "context_length_exceeded"),
            TOO_LONG,
        ),
        Sample(
            413,
            openai_error(
                "Request too large for model `llama-3.3-70b-versatile` in organization `org_1` "
                "on tokens per minute (TPM): Limit 12000, Requested 14137, please reduce your message size.",
                "rate_limit_exceeded",
                "tokens",
            ),
            TOO_LARGE,
        ),
        Sample(
            429,
            openai_error(
                "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_1` "
                "on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s.",
                "rate_limit_exceeded",
                "tokens",
            ),
            LIMITED,
        ),
        Sample(401, openai_error("Invalid API Key", "invalid_api_key"), REJECTED),
        Sample(400, openai_error("Organization has been restricted.", "organization_restricted"), REJECTED),
        Sample(400, openai_error("The model `m` has been decommissioned", "model_decommissioned"), MISSING),
        Sample(400, openai_error("The model `m` requires terms acceptance.", "model_terms_required"), DENIED),
        Sample(498, openai_error("Flex tier capacity exceeded", "capacity_exceeded"), OVERLOADED),
        Sample(400, openai_error("Failed to call a function.", "tool_use_failed"), REJECTED_REQUEST),
    ],
    # https://docs.x.ai/docs/key-information/debugging; continuedev/continue issue 10778, cline/cline issue 3120,
    # UKGovernmentBEIS/inspect_ai pull request 2267, Wei-Shaw/sub2api pull request 5359
    "xai": [
        Sample(
            400,
            {
                "code": "Client specified an invalid argument",
                "error": "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
            },
            TOO_LONG,
        ),
        Sample(
            400,
            {
                "code": "Client specified an invalid argument",
                "error": "Incorrect API key provided: na***ys. You can obtain an API key from https://console.x.ai.",
            },
            REJECTED,
        ),
        Sample(
            403,
            {
                "code": "The caller does not have permission to execute the specified operation",
                "error": "Content violates usage guidelines. Team: t, API key ID: k, Model: grok-4-0709, "
                "Failed check: SAFETY_CHECK_TYPE_BIO",
            },
            FILTERED,
        ),
        Sample(403, {"code": "permission-denied", "error": "Content violates usage guidelines. "}, FILTERED),
        Sample(403, {"code": "permission-denied", "error": "Access to the chat endpoint is denied."}, REJECTED),
        Sample(
            429,
            {
                "code": "Some resource has been exhausted",
                "error": "Your team t has either used all available credits or reached its monthly spending limit.",
            },
            EMPTY,
        ),
        Sample(
            403,
            {
                "code": "The caller does not have permission to execute the specified operation",
                "error": "Your newly created team doesn't have any credits or licenses yet.",
            },
            EMPTY,
        ),
    ],
    # https://docs.mistral.ai/api; cline/cline issue 9085
    "mistral": [
        Sample(
            400,
            {
                "object": "error",
                "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
                "type": "invalid_request_prompt",
                "code": "3051",
            },
            TOO_LONG,
        ),
        Sample(401, {"detail": "Unauthorized"}, REJECTED),
        Sample(
            429, {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"}, LIMITED
        ),
        Sample(
            429,
            {
                "object": "error",
                "message": "Service tier capacity exceeded for this model.",
                "type": "service_tier_capacity_exceeded",
                "code": "3505",
            },
            OVERLOADED,
        ),
        Sample(
            400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, MISSING
        ),
        Sample(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"]}]}, REJECTED_REQUEST),
    ],
    # https://api-docs.deepseek.com/quick_start/error_codes; continuedev/continue issue 11498
    "deepseek": [
        Sample(
            400,
            openai_error("This model's maximum context length is 131072 tokens. However, you requested …"),
            TOO_LONG,
        ),
        Sample(400, openai_error("Content Exists Risk", "invalid_request_error"), FILTERED),
        Sample(400, openai_error("Model Not Exist", "invalid_request_error"), MISSING),
        Sample(
            401, openai_error("Authentication Fails, Your api key: ****x is invalid", "invalid_request_error"), REJECTED
        ),
        Sample(402, openai_error("Insufficient Balance", "invalid_request_error"), EMPTY),
    ],
    # https://openrouter.ai/docs/api/reference/errors-and-debugging
    "openrouter": [
        Sample(
            400,
            openai_error(
                "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens", 400
            ),
            TOO_LONG,
        ),
        Sample(
            402,
            openai_error(
                "This request requires more credits, or fewer max_tokens. You requested up to 131072 tokens, but can "
                "only afford 54095.",
                402,
            ),
            TOO_LARGE,
        ),
        Sample(402, openai_error("Prompt tokens limit exceeded: 77084 > 67343.", 402), TOO_LARGE),
        Sample(
            402, openai_error("Insufficient credits. Add more using https://openrouter.ai/settings/credits", 402), EMPTY
        ),
        Sample(403, openai_error("Key limit exceeded (total limit).", 403), EMPTY),
        Sample(
            403,
            openai_error("openai/gpt-4o requires moderation on OpenAI. Your input was flagged for …", 403),
            FILTERED,
        ),
        Sample(429, openai_error("Rate limit exceeded: free-models-per-min.", 429), LIMITED),
        Sample(400, openai_error("x/y is not a valid model ID", 400), MISSING),
        Sample(502, openai_error("Provider returned error", 502), BROKEN),
    ],
    # https://docs.together.ai/docs/error-codes
    "together": [
        Sample(
            403,
            openai_error("Input token count + max_tokens parameter must be less than the context length of the model"),
            TOO_LONG,
        ),
        Sample(
            422, openai_error("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097."), TOO_LONG
        ),
        Sample(402, openai_error("Credit limit exceeded", None, "credit_limit"), EMPTY),
        Sample(404, openai_error("Unable to access model x.", "model_not_available"), MISSING),
        Sample(503, openai_error("The server is overloaded or not ready yet."), OVERLOADED),
    ],
    # https://docs.fireworks.ai/guides/inference-error-codes; amd/gaia issue 3766, GordeyZuev/LEAP issue 6
    "fireworks": [
        Sample(400, openai_error("The prompt is too long: 145000, model maximum context length: 131071"), TOO_LONG),
        Sample(
            412,
            openai_error(
                "Account a is suspended, possibly due to reaching the monthly spending limit", "PRECONDITION_FAILED"
            ),
            EMPTY,
        ),
        Sample(403, openai_error("The API key you provided is invalid."), REJECTED),
        Sample(404, openai_error("Model not found, inaccessible, and/or not deployed", "NOT_FOUND"), MISSING),
        Sample(
            429,
            {"error": "Too Many Requests", "message": "You have exceeded your usage limits. Please try again later."},
            LIMITED,
            Scope.KEY,
        ),
    ],
    # https://inference-docs.cerebras.ai/support/error; cline/cline issue 5140
    "cerebras": [
        Sample(
            400,
            {
                "message": "Please reduce the length of the messages or completion. Current length is 42328 while "
                "limit is 40000",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            },
            TOO_LONG,
        ),
        Sample(
            429,
            {
                "message": "Tokens per minute limit exceeded",
                "type": "too_many_tokens_error",
                "code": "token_quota_exceeded",
            },
            LIMITED,
        ),
        Sample(
            429,
            {
                "message": "We're experiencing high traffic right now!",
                "type": "too_many_requests_error",
                "code": "queue_exceeded",
            },
            OVERLOADED,
        ),
        Sample(401, {"message": "Wrong API Key", "type": "invalid_request_error", "code": "wrong_api_key"}, REJECTED),
        Sample(
            404,
            {"message": "Model x does not exist or you do not have access to it.", "code": "model_not_found"},
            MISSING,
        ),
    ],
    # https://docs.perplexity.ai/docs/agent-api/openai-compatibility
    "perplexity": [
        Sample(400, openai_error("The prompt exceeds the maximum context length of 127072 tokens", 400), TOO_LONG),
        Sample(401, openai_error("You exceeded your current quota", 401, "insufficient_quota"), EMPTY),
        Sample(401, openai_error("Invalid API key provided.", 401, "invalid_api_key"), REJECTED),
        Sample(400, openai_error("Invalid model 'x'.", 400, "invalid_model"), MISSING),
    ],
    # https://platform.stepfun.com/docs/zh/api-reference/error-codes. It does not document the text for a prompt that is
    # too long, so OpenAI's stands here.
    "stepfun": [
        Sample(400, openai_error("This model's maximum context length is 65536 tokens.", None), TOO_LONG),
        Sample(401, openai_error("Incorrect API key provided", None, "invalid_api_key"), REJECTED),
        Sample(402, openai_error("Insufficient balance", None), EMPTY),
        Sample(429, openai_error("Rate limit exceeded", None), LIMITED),
        Sample(451, openai_error("The content did not pass the review", None), FILTERED),
    ],
    # https://docs.tokenfactory.nebius.com
    "nebius": [
        Sample(
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens",
                "type": "BadRequestError",
                "code": 400,
            },
            TOO_LONG,
        ),
        Sample(401, {"detail": "Couldn't authenticate"}, REJECTED),
        Sample(404, {"detail": "The model `x` does not exist."}, MISSING),
    ],
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server
    "llama-cpp": [
        Sample(
            400,
            openai_error(
                "request (7538 tokens) exceeds the available context size (4096 tokens), try increasing it",
                400,
                "exceed_context_size_error",
            ),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error("the request exceeds the available context size. try increasing the context size", 400),
            TOO_LONG,
        ),
        Sample(
            501,
            openai_error(
                "This server does not support embeddings. Start it with `--embeddings`", 501, "not_supported_error"
            ),
            LACKING,
            Scope.OPERATION,
        ),
        Sample(404, openai_error("File Not Found", 404, "not_found_error"), LACKING, Scope.OPERATION),
        Sample(
            500,
            openai_error(
                "image input is not supported - hint: you may need to provide the mmproj", 500, "server_error"
            ),
            REJECTED_REQUEST,
        ),
        Sample(500, openai_error("input is too large to process. increase the physical batch size", 500), TOO_LONG),
        Sample(401, openai_error("Invalid API Key", 401, "authentication_error"), REJECTED),
        Sample(503, openai_error("Loading model", 503, "unavailable_error"), OVERLOADED),
    ],
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    "vllm": [
        Sample(
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 8192 tokens. However, you requested 8203 tokens",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
            TOO_LONG,
        ),
        Sample(404, openai_error("The model `x` does not exist.", 404, "NotFoundError"), MISSING),
        Sample(
            400,
            openai_error("The model does not support Embeddings API", 400, "BadRequestError"),
            LACKING,
            Scope.OPERATION,
        ),
        Sample(401, {"error": "Unauthorized"}, REJECTED),
    ],
    # https://docs.sglang.ai/basic_usage/openai_api.html
    "sglang": [
        Sample(
            400,
            {
                "object": "error",
                "message": "The input (691793 tokens) is longer than the model's context length (540000 tokens).",
                "type": "BadRequestError",
                "code": 400,
            },
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error("Requested token count exceeds the model's maximum context length of 8192 tokens."),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error("This model does not appear to be an embedding model by default. Please add `--is-embedding`"),
            LACKING,
            Scope.OPERATION,
        ),
    ],
    # https://docs.ollama.com/api/errors
    "ollama": [
        Sample(400, {"error": "the input length exceeds the context length"}, TOO_LONG),
        Sample(413, {"error": "the input length exceeds the context length"}, TOO_LONG),
        Sample(500, {"error": "the input length exceeds the context length"}, TOO_LONG),
        Sample(
            400,
            openai_error(
                '{"error":{"message":"request (7538 tokens) exceeds the available context size (4096 tokens)"}}'
            ),
            TOO_LONG,
        ),
        Sample(400, openai_error('"nomic-embed-text" does not support chat'), LACKING, Scope.OPERATION),
        Sample(400, openai_error("registry.ollama.ai/library/gemma:2b does not support tools"), REJECTED_REQUEST),
        Sample(404, openai_error("model 'x' not found"), MISSING),
        Sample(503, {"error": "server busy, please try again. maximum pending requests exceeded"}, OVERLOADED),
    ],
    # https://lmstudio.ai/docs/developer/openai-compat
    "lm-studio": [
        Sample(
            400,
            {
                "error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is "
                "loaded with context length of only 4096 tokens, which is not enough."
            },
            TOO_LONG,
        ),
        Sample(400, openai_error("The number of tokens to keep is greater than the context length"), TOO_LONG),
        Sample(404, openai_error("No models loaded. Please load a model in the developer page."), MISSING),
        Sample(404, {"error": "Unexpected endpoint or method. (POST /v1/x)"}, LACKING, Scope.OPERATION),
    ],
}
# Any self-hosted server may be behind an address.
SAMPLES["openai-compatible"] = [
    sample for name in ("llama-cpp", "vllm", "sglang", "ollama", "lm-studio") for sample in SAMPLES[name]
]
CASES = [
    pytest.param(name, sample, id=f"{name}-{number}-{sample.status}")
    for name in PROVIDERS
    for number, sample in enumerate([*SAMPLES.get(name, []), *EVERYWHERE])
]


def failed(name: str, sample: Sample, operation: Operation) -> Failure:
    body = sample.body if isinstance(sample.body, str) else json.dumps(sample.body)
    return PROVIDERS[name].codecs[operation].failure(sample.status, {}, body.encode(), 0.0)


def test_samples_cover_exactly_the_existing_providers() -> None:
    assert set(SAMPLES) == set(PROVIDERS)
    for name, samples in SAMPLES.items():
        assert any(sample.kind is TOO_LONG for sample in samples), name


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_fault_of_each_sample(name: str, sample: Sample) -> None:
    for operation in PROVIDERS[name].codecs:
        assert operation in PATH_OF
        failure = failed(name, sample, operation)
        assert (failure.kind.code, failure.scope) == (sample.kind.code, sample.scope), failure


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_faults_of_one_request_affect_no_other(name: str, sample: Sample) -> None:
    failure = failed(name, sample, next(iter(PROVIDERS[name].codecs)))
    if failure.kind.fault is Fault.REQUEST or failure.scope is Scope.ATTEMPT:
        assert not blocks_key(failure)
    if failure.kind in (LIMITED, DENIED) and failure.scope is None:
        assert not covers_whole_key(failure), "a limit of a model blocks the key"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_quoted_client_text_has_no_consequences(name: str, status: int) -> None:
    """Many providers quote the request. Quoted text must have no consequences for others."""
    for sample in [sample for samples in SAMPLES.values() for sample in samples]:
        if sample.kind.fault is not Fault.REQUEST or sample.scope is not None:
            quoted = Sample(status, openai_error(f"Invalid value: '{_words(sample.body)}'"), sample.kind)
            failure = failed(name, quoted, next(iter(PROVIDERS[name].codecs)))
            assert not blocks_key(failure), quoted
            assert failure.scope in (None, Scope.ATTEMPT), quoted
            assert failure.kind.fault is not Fault.PROVIDER, quoted


def _words(body: object) -> str:
    inner = body.get("error", body) if isinstance(body, dict) else body
    found = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
    return str(found)
