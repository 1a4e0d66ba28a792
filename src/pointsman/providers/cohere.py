"""Cohere, by its own API: `/v2/chat`, `/v2/embed` and `/v2/rerank`. https://docs.cohere.com/reference/about

No client speaks its dialect of chats and embeddings, so these requests are translated.
"""

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Scope
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._cohere_codecs import CohereChatCodec, CohereEmbedCodec, fitted
from pointsman.providers._error_table import Rules, rule
from pointsman.providers._model_lists import cohere_models, next_by
from pointsman.providers._quota_headers import cohere_quota
from pointsman.providers._rankings import RankingCodec
from pointsman.providers.api import ModelLists, Provider, bearer, reading

# https://docs.cohere.com/reference/errors
ERRORS: Rules = (
    rule(failures.CREDENTIAL_REJECTED, 401, 403, starts="invalid api token|no api key|your api key has expired"),
    rule(failures.BALANCE_EMPTY, 429, starts=r"you are using a trial key, which is limited to \d+ api calls / month"),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, starts="you are using a trial key|trial token rate", scope=Scope.KEY),
    rule(failures.CONTEXT_TOO_LONG, 400, starts="too many tokens"),
    rule(failures.UPSTREAM_UNSUPPORTED, 400, starts="invalid request: model .{1,120} is not supported by the"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, starts="finetuned model with name .{1,120} is not ready"),
    rule(failures.UPSTREAM_MODEL_MISSING, 404, starts="model .{1,120} not found|finetuned model .{1,120} not found"),
    rule(failures.CONTENT_FILTERED, 498),
    rule(failures.UPSTREAM_ERROR, 499, scope=Scope.ATTEMPT),
)


def _second_version(call: Call, candidate: Candidate, key: ProviderKey) -> tuple[str, bytes]:  # noqa: ARG001
    """Return the beginning of the path of a ranking."""
    return candidate.endpoint.base_path + "/v2", b""


PROVIDER = Provider(
    name="cohere",
    title="Cohere",
    base_url="https://api.cohere.com",
    key_env="COHERE_API_KEY",
    codecs={
        "chat": CohereChatCodec(errors=ERRORS),
        "embedding": CohereEmbedCodec(errors=ERRORS),
        "rerank": RankingCodec(
            errors=ERRORS,
            locate=_second_version,
            omit=("max_chunks_per_doc", "rank_fields", "user"),
            returns_documents=False,
        ),
    },
    lists=ModelLists(
        request=reading(bearer),
        paths=("/v1/models?page_size=1000",),
        names=cohere_models,
        next_page=next_by("next_page_token", "page_token"),
    ),
    adapt=fitted,
    docs="https://docs.cohere.com/reference/about",
    errors=ERRORS,
    quota=cohere_quota,
)
