"""The attributes of spans and log records: facts of a request's record, without bodies and client addresses.

Names are those of OpenTelemetry's conventions where they exist, as of version 0.1.0 for generative AI:
https://github.com/open-telemetry/semantic-conventions-genai. All others begin with `pointsman.`.
"""

from collections.abc import Mapping

from pointsman.domain.dollars import NANO
from pointsman.domain.failures import CLIENT_GONE, FILTERED, REFUSED, SUPERSEDED
from pointsman.domain.records import AttemptRecord, RequestRecord

Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]

# Outcomes of attempts that are no failures of the provider.
HARMLESS = frozenset({"ok", *(kind.code for kind in (SUPERSEDED, REFUSED, FILTERED, CLIENT_GONE))})

# The names of operations and providers in the conventions; others keep the gateway's own.
_OPERATIONS = {"responses": "chat", "completion": "text_completion", "embedding": "embeddings"}
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}

REQUEST_ATTRIBUTES = {
    "error.type": "The code of the failure that the client received; docs/reference/errors.md lists them.",
    "gen_ai.agent.id": "The client's id of its agent.",
    "gen_ai.conversation.id": "The client's id of its session.",
    "gen_ai.operation.name": "The operation: `chat`, `text_completion`, `embeddings`, or the gateway's own name.",
    "gen_ai.provider.name": "The type of the provider that answered, under its name in the conventions.",
    "gen_ai.request.model": "The model that the client requested.",
    "gen_ai.request.stream": "True if the client requested a stream.",
    "gen_ai.response.model": "The provider's name of the model that answered.",
    "gen_ai.response.time_to_first_chunk": "Seconds from the arrival of the request to the first content of a stream.",
    "gen_ai.usage.cache_read.input_tokens": "Tokens of the prompt that the provider read from its cache.",
    "gen_ai.usage.cache_write.input_tokens": "Tokens of the prompt that the provider wrote to its cache.",
    "gen_ai.usage.input_tokens": "Tokens of the prompt.",
    "gen_ai.usage.output_tokens": "Tokens of the answer.",
    "gen_ai.usage.reasoning.output_tokens": "Tokens of the answer that the model used for reasoning.",
    "http.request.method": "The method of the request.",
    "http.response.status_code": "The HTTP status that the client received.",
    "pointsman.attempts": "The number of attempts.",
    "pointsman.cost.usd": "The cost of all attempts in US dollars.",
    "pointsman.customer": "The customer of the virtual key.",
    "pointsman.dialect": "The client's API.",
    "pointsman.gateway.seconds": "Seconds of the request that the gateway itself took.",
    "pointsman.mirror_of": "The id of the request that this one is a copy of.",
    "pointsman.provider": "The name of the provider that answered.",
    "pointsman.request.id": "The id of the request, as in the log and in the header `x-request-id`.",
    "pointsman.rule": "The routing rules that matched.",
    "pointsman.strategy": "The strategy that ordered the targets.",
    "pointsman.team": "The team of the virtual key.",
    "pointsman.variant": "The label of the target that answered.",
    "pointsman.verdicts": "The codes of the policies' objections to candidates.",
    "pointsman.virtual_key": "The name of the virtual key.",
    "url.path": "The path of the request, without its query.",
}
ATTEMPT_ATTRIBUTES = {
    "error.type": "The code of the failure of the attempt.",
    "gen_ai.operation.name": "As above.",
    "gen_ai.provider.name": "The type of the provider, under its name in the conventions.",
    "gen_ai.request.model": "The provider's name of the model.",
    "gen_ai.usage.input_tokens": "Tokens of the prompt.",
    "gen_ai.usage.output_tokens": "Tokens of the answer.",
    "http.response.status_code": "The HTTP status of the provider's answer.",
    "pointsman.attempt.first_byte.seconds": "Seconds from the start of the attempt to the head of its answer.",
    "pointsman.attempt.ordinal": "The number of the attempt, from 1.",
    "pointsman.attempt.outcome": "`ok`, or the code of the failure.",
    "pointsman.attempt.role": "`attempt`, `hedge`, `race` or `continuation`.",
    "pointsman.cost.source": "The source of the cost: `provider`, `estimated`, `reserved` or `none`.",
    "pointsman.cost.usd": "The cost of the attempt in US dollars.",
    "pointsman.provider": "The name of the provider.",
    "pointsman.provider_key": "The name of the provider key.",
}
_TOKENS = {
    "gen_ai.usage.input_tokens": "tokens_in",
    "gen_ai.usage.output_tokens": "tokens_out",
    "gen_ai.usage.cache_read.input_tokens": "tokens_cached",
    "gen_ai.usage.cache_write.input_tokens": "tokens_cache_write",
    "gen_ai.usage.reasoning.output_tokens": "tokens_reasoning",
}
_FIELDS = {
    "error.type": "code",
    "gen_ai.agent.id": "agent",
    "gen_ai.conversation.id": "session",
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "upstream_model",
    "http.request.method": "method",
    "http.response.status_code": "status",
    "pointsman.customer": "customer",
    "pointsman.dialect": "dialect",
    "pointsman.mirror_of": "mirror_of",
    "pointsman.provider": "provider",
    "pointsman.request.id": "request_id",
    "pointsman.rule": "rule",
    "pointsman.strategy": "strategy",
    "pointsman.team": "team",
    "pointsman.variant": "variant",
    "pointsman.verdicts": "verdict_codes",
    "pointsman.virtual_key": "virtual_key",
    "url.path": "path",
}


def request_attributes(record: RequestRecord, types: Mapping[str, str]) -> Attributes:
    """Return the attributes of a request. `types` are the types of providers by name."""
    found: Attributes = {}
    for name, field in (_FIELDS | _TOKENS).items():
        value = getattr(record, field)
        if value:
            found[name] = value
    found["gen_ai.operation.name"] = operation_name(record)
    if record.provider:
        found["gen_ai.provider.name"] = provider_name(record.provider, types)
    if record.stream:
        found["gen_ai.request.stream"] = True
    if record.ttft_us is not None:
        found["gen_ai.response.time_to_first_chunk"] = record.ttft_us / 1e6
    found["pointsman.attempts"] = len(record.attempts)
    found["pointsman.cost.usd"] = record.cost_nano / NANO
    found["pointsman.gateway.seconds"] = record.gateway_us / 1e6
    return found


def attempt_attributes(
    record: RequestRecord, attempt: AttemptRecord, ordinal: int, types: Mapping[str, str]
) -> Attributes:
    """Return the attributes of an attempt for a request."""
    found: Attributes = {
        "gen_ai.operation.name": operation_name(record),
        "gen_ai.provider.name": provider_name(attempt.provider or "", types),
        "gen_ai.request.model": attempt.model or "",
        "pointsman.attempt.ordinal": ordinal,
        "pointsman.attempt.outcome": attempt.outcome,
        "pointsman.attempt.role": attempt.role,
        "pointsman.cost.source": attempt.usage_source,
        "pointsman.cost.usd": attempt.cost_nano / NANO,
        "pointsman.provider": attempt.provider or "",
        "pointsman.provider_key": attempt.key or "",
    }
    if attempt.outcome not in HARMLESS:
        found["error.type"] = attempt.outcome
    if attempt.status:
        found["http.response.status_code"] = attempt.status
    if attempt.usage_source != "none":
        found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"] = attempt.tokens_in, attempt.tokens_out
    if attempt.first_byte_us is not None:
        found["pointsman.attempt.first_byte.seconds"] = (attempt.first_byte_us - attempt.start_us) / 1e6
    return found


def operation_name(record: RequestRecord) -> str:
    """Return the operation of a request under its name in the conventions."""
    operation = record.operation or "none"
    return _OPERATIONS.get(operation, operation)


def provider_name(name: str, types: Mapping[str, str]) -> str:
    """Return the type of a provider under its name in the conventions."""
    kind = types.get(name, name)
    return _PROVIDERS.get(kind, kind)
