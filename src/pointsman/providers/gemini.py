"""Google's Gemini API, with a key of AI Studio. https://ai.google.dev/api/generate-content

The path names the model, and whether the answer is a stream. Streams are requested as events (`alt=sse`), whatever form
the client of this dialect gets.
"""

from functools import lru_cache
from urllib.parse import quote

from msgspec import Raw

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.origin import Secret
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._error_table import Rules, rule
from pointsman.providers._gemini_answers import (
    GeminiStream,
    google_failure,
    judge,
    judge_count,
    judge_embeddings,
    usage_in,
    usage_of_embeddings,
)
from pointsman.providers._judged import JudgedCodec
from pointsman.providers._model_lists import gemini_models, next_by
from pointsman.providers.api import (
    Auth,
    ModelLists,
    Provider,
    StreamDecoder,
    WholeAnswer,
    cached_head,
    model_field,
    reading,
)
from pointsman.wire.dialects.gemini.embeddings import requests_of
from pointsman.wire.dialects.gemini.models import bounded, fitted, signed
from pointsman.wire.dialects.gemini.own_fields import own_fields
from pointsman.wire.dialects.gemini.prompts import counted_as, counts_tokens
from pointsman.wire.json_object import encode_object

NAME = "gemini"

# https://ai.google.dev/gemini-api/docs/troubleshooting, …/docs/billing, …/docs/api-key
ERRORS: Rules = (
    rule(
        failures.CREDENTIAL_REJECTED,
        codes=(
            "API_KEY_INVALID",
            "API_KEY_SERVICE_BLOCKED",
            "API_KEY_IP_ADDRESS_BLOCKED",
            "API_KEY_HTTP_REFERRER_BLOCKED",
            "CONSUMER_INVALID",
            "CONSUMER_SUSPENDED",
            "SERVICE_DISABLED",
            "UNAUTHENTICATED",
        ),
    ),
    rule(failures.CREDENTIAL_REJECTED, 400, starts="api key (?:not valid|not found|expired)"),
    rule(failures.CREDENTIAL_REJECTED, 403, starts="your api key was reported|method doesn't allow unregistered"),
    rule(failures.CREDENTIAL_REJECTED, 400, starts="user location is not supported"),
    rule(failures.BALANCE_EMPTY, 400, starts="gemini api free tier is not available in your country"),
    rule(
        failures.BALANCE_EMPTY,
        429,
        starts="your prepayment credits are depleted|your project has exceeded its (?:monthly )?spending cap",
    ),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, codes=("PERMISSION_DENIED",)),
    rule(failures.UPSTREAM_MODEL_MISSING, 404, codes=("NOT_FOUND",)),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("RESOURCE_EXHAUSTED",)),
    rule(failures.UPSTREAM_TOO_LARGE, 400, 413, says="request payload size exceeds"),
    rule(failures.UPSTREAM_OVERLOADED, codes=("UNAVAILABLE",)),
    rule(failures.UPSTREAM_ERROR, codes=("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "CANCELLED")),
)


def api_key(secret: Secret) -> bytes:
    """Return the header line of a key. https://ai.google.dev/gemini-api/docs/api-key"""
    value = secret.reveal()
    return b"x-goog-api-key: %b\r\n" % value.encode() if value else b""


@lru_cache(maxsize=4096)  # of models
def _path(model: str, method: str) -> bytes:
    """Return the end of a request's path."""
    collection, _, name = _full_name(model).partition("/")
    return f"/{collection}/{quote(name, safe='')}:{method}".encode("ascii")


def _full_name(model: str) -> str:
    """Return a model's name with its collection. Tuned models have one of their own."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


class GenerateCodec(JudgedCodec, frozen=True, kw_only=True, eq=False):
    """A codec that sends the fields as they came to the path of the model. `auth` makes the header line of its key."""

    dialect: str = NAME
    errors: Rules = ERRORS
    auth: Auth = api_key
    usage_in = staticmethod(usage_in)

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        _, headers = cached_head(candidate.endpoint.base_path, key, call.head, "application/json", auth=self.auth)
        method, fields = self.content(call, candidate, key)
        return UpstreamRequest(b"POST", self.target(candidate, key, method), headers, encode_object(fields))

    def content(self, call: Call, candidate: Candidate, key: ProviderKey) -> tuple[str, dict[str, Raw]]:
        """Return the method of a request with its query, and the fields of its body."""
        method, fields = "streamGenerateContent?alt=sse" if call.stream else "generateContent", call.fields
        if counts_tokens(call):
            method, fields = "countTokens", counted_as(fields, _full_name(candidate.model))
        fields = signed(own_fields(fields), candidate.names_at(key))
        if call.max_tokens is not None and call.max_tokens != call.stated_tokens:
            fields = bounded(fields, call.max_tokens)
        return method, fields

    def target(self, candidate: Candidate, key: ProviderKey, method: str) -> bytes:
        """Return the target of a request: the path of its model, and the method."""
        return candidate.endpoint.base_path.encode("ascii") + _path(candidate.model_at(key), method)

    def judge(self, call: Call, body: bytes) -> WholeAnswer | failures.Failure:
        return judge_count(body, self.errors) if counts_tokens(call) else judge(body, self.errors)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return GeminiStream(errors=self.errors, max_event_bytes=max_event_bytes)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> failures.Failure:
        return google_failure(status, headers, body, now_unix_s, self.errors)


class EmbeddingCodec(GenerateCodec, frozen=True, kw_only=True, eq=False):
    """A codec for the embedding of one content, or of several. Each of several names the model again."""

    usage_in = staticmethod(usage_of_embeddings)

    def content(self, call: Call, candidate: Candidate, key: ProviderKey) -> tuple[str, dict[str, Raw]]:
        name = model_field(_full_name(candidate.model_at(key)))
        if "requests" not in call.fields:
            return "embedContent", {**call.fields, "model": name}
        requests = [{**one, "model": name} for one in requests_of(call.fields)]
        return "batchEmbedContents", {**call.fields, "requests": Raw(encode_object(requests))}

    def judge(self, call: Call, body: bytes) -> WholeAnswer | failures.Failure:  # noqa: ARG002
        return judge_embeddings(body, self.errors)


PROVIDER = Provider(
    name=NAME,
    title="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    key_env="GEMINI_API_KEY",
    codecs={"chat": GenerateCodec(), "embedding": EmbeddingCodec()},
    auth=api_key,
    adapt=fitted,
    lists=ModelLists(
        request=reading(api_key),
        paths=("/models?pageSize=1000",),
        names=gemini_models,
        next_page=next_by("nextPageToken", "pageToken"),
    ),
    docs="https://ai.google.dev/gemini-api/docs",
    errors=ERRORS,
)
