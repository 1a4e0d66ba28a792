"""Google's Vertex AI. https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest

Gemini speaks Google's own dialect, as at AI Studio, at paths that name the project and the region. Claude takes
Anthropic's Messages in `rawPredict`, with a version in the body and without the model:
https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai. Open models, whose names have a publisher,
have a server in OpenAI's dialect: https://cloud.google.com/vertex-ai/generative-ai/docs/maas/call-open-model-apis.
Embeddings are made by `predict` (`wire.embedders.vertex`).

The express mode takes an API key, at paths without project and region, for Gemini alone:
https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/vertex-ai-express-mode-api-reference.
"""

from msgspec import Raw

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._embeddings import EmbedderCodec
from pointsman.providers._error_table import Rules, rule
from pointsman.providers._gemini_answers import google_failure
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._vertex_requests import LISTS, address_of, credential_line, target_of
from pointsman.providers.anthropic import ERRORS as ANTHROPIC_ERRORS
from pointsman.providers.anthropic import PREFILL, MessagesCodec, adapted, message_fields
from pointsman.providers.api import Auth, Provider, cached_head, model_field
from pointsman.providers.gemini import ERRORS as GEMINI_ERRORS
from pointsman.providers.gemini import GenerateCodec
from pointsman.wire.dialects.anthropic.prompts import counts_tokens
from pointsman.wire.dialects.gemini.models import fitted
from pointsman.wire.json_object import encode_object

_VERSION = Raw(b'"vertex-2023-10-16"')

# https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors
_OWN: Rules = (
    rule(
        failures.CREDENTIAL_REJECTED,
        403,
        starts="[a-z .]{1,60} has not been used in project .{1,80} before or it is disabled",
    ),
    rule(failures.BALANCE_EMPTY, 403, starts="this api method requires billing to be enabled"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, says="is not servable in region|is not supported in the .{1,40} region"),
    rule(failures.UPSTREAM_MODEL_MISSING, 404, says="publisher model .{1,300} was not found"),
)
ERRORS: Rules = (*_OWN, *GEMINI_ERRORS, *ANTHROPIC_ERRORS)


class VertexGenerateCodec(GenerateCodec, frozen=True, kw_only=True, eq=False):
    """A codec for Gemini. Only its targets and credentials differ from those of AI Studio."""

    errors: Rules = ERRORS
    auth: Auth = credential_line

    def target(self, candidate: Candidate, key: ProviderKey, method: str) -> bytes:
        return target_of(candidate.endpoint, candidate.model_at(key), "google", method)


class PredictCodec(EmbedderCodec, frozen=True, kw_only=True, eq=False):
    """A codec for embeddings."""

    dialect: str = "vertex"
    errors: Rules = ERRORS

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        endpoint, model = candidate.endpoint, candidate.model_at(key)
        _, headers = cached_head(endpoint.base_path, key, call.head, "application/json", auth=credential_line)
        target = target_of(endpoint, model, "google", "predict")
        return UpstreamRequest(b"POST", target, headers, encode_object(call.fields))

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> failures.Failure:
        return google_failure(status, headers, body, now_unix_s, self.errors)


class RawPredictCodec(MessagesCodec, frozen=True, kw_only=True, eq=False):
    """A codec for Claude."""

    errors: Rules = ERRORS

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        endpoint, model, fields = candidate.endpoint, candidate.model_at(key), message_fields(call)
        fields["anthropic_version"] = _VERSION
        method = "streamRawPredict" if call.stream else "rawPredict"
        if counts_tokens(call):
            fields["model"] = model_field(model.rpartition("/")[2])
            model = "count-tokens"
        _, headers = cached_head(endpoint.base_path, key, call.head, "application/json", auth=credential_line)
        return UpstreamRequest(b"POST", target_of(endpoint, model, "anthropic", method), headers, encode_object(fields))

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> failures.Failure:
        return google_failure(status, headers, body, now_unix_s, self.errors)


def _locate(call: Call, candidate: Candidate, key: ProviderKey) -> tuple[str, bytes]:  # noqa: ARG001
    endpoint = candidate.endpoint
    return f"{endpoint.base_path}/projects/{endpoint.project}/locations/{endpoint.region}/endpoints/openapi", b""


_CLAUDE = Provider(
    name="vertex-claude",
    title="Claude at Vertex AI",
    base_url=None,
    key_env=None,
    codecs={"chat": RawPredictCodec()},
    auth=credential_line,
    needs_bound=True,
    adapt=adapted,
    prefill=PREFILL,
    errors=ERRORS,
)
_OPEN = openai_compatible(
    "vertex-open",
    "Open models at Vertex AI",
    None,
    None,
    embeddings=False,
    completions=False,
    output_bound="max_tokens",
    auth=credential_line,
    locate=_locate,
    errors=ERRORS,
)
PROVIDER = Provider(
    name="vertex",
    title="Google Vertex AI",
    base_url=None,
    key_env="GOOGLE_API_KEY",
    codecs={"chat": VertexGenerateCodec(), "embedding": PredictCodec()},
    lists=LISTS,
    auth=credential_line,
    adapt=fitted,
    docs="https://cloud.google.com/vertex-ai/generative-ai/docs",
    errors=ERRORS,
    credentials=("google", "value"),
    takes={"region": frozenset({"google"}), "project": frozenset({"google"})},
    regional_url=address_of,
    families={"*claude*": _CLAUDE, "*/*": _OPEN},
)
