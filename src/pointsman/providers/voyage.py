"""Voyage AI: embeddings and rankings. https://docs.voyageai.com/reference/embeddings-api

Its embeddings are those of OpenAI with `output_dimension` in place of `dimensions`, and without `float`, which is its
default. Its rankings are translated from Cohere's fields.
"""

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._error_table import rule
from pointsman.providers._openai_codecs import JsonCodec, Quirks
from pointsman.providers._rankings import RankingCodec
from pointsman.providers.api import Provider

# https://docs.voyageai.com/docs/error-codes: an error has a text `detail`, and no `error`.
ERRORS = (
    rule(failures.CREDENTIAL_REJECTED, 401, 403, starts="provided api key is invalid|forbidden"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, starts=r"model .{1,120} is not supported|the model .{1,120} not found"),
    rule(failures.CONTEXT_TOO_LONG, 400, says="max allowed tokens|too many tokens|maximum number of tokens"),
)
_FLOAT = Raw(b'"float"')


class VoyageEmbeddingCodec(JsonCodec, frozen=True, kw_only=True, eq=False):
    """A codec that leaves out the format of vectors if it is the default."""

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        if call.fields.get("encoding_format") == _FLOAT:
            fields = {name: value for name, value in call.fields.items() if name != "encoding_format"}
            call = replace(call, fields=fields)
        return super().encode(call, candidate, key, attempt_id, now_unix_s)


_QUIRKS = Quirks(rename=(("dimensions", "output_dimension"),), omit=("user",))

PROVIDER = Provider(
    name="voyage",
    title="Voyage AI",
    base_url="https://api.voyageai.com/v1",
    key_env="VOYAGE_API_KEY",
    codecs={
        "embedding": VoyageEmbeddingCodec(errors=ERRORS, quirks=_QUIRKS),
        "rerank": RankingCodec(
            errors=ERRORS,
            rename=(("top_n", "top_k"),),
            omit=("max_tokens_per_doc", "max_chunks_per_doc", "rank_fields", "user"),
        ),
    },
    docs="https://docs.voyageai.com/reference/embeddings-api",
    errors=ERRORS,
)
