"""Fireworks AI: OpenAI-compatible. https://docs.fireworks.ai/api-reference"""

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._rankings import RankingCodec

# https://docs.fireworks.ai/guides/inference-error-codes: 412 means a suspended account, mostly for its bill.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 412),
    rule(failures.CREDENTIAL_REJECTED, 403, codes=("unauthorized", "forbidden")),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, starts="you have exceeded your usage limits", scope=Scope.KEY),
)

_ROW = openai_compatible(
    "fireworks",
    "Fireworks AI",
    "https://api.fireworks.ai/inference/v1",
    "FIREWORKS_API_KEY",
    also=("responses",),
    errors=ERRORS,
    docs="https://docs.fireworks.ai/api-reference",
)
_RANKING = RankingCodec(errors=ERRORS, omit=("max_tokens_per_doc", "max_chunks_per_doc", "rank_fields", "user"))
PROVIDER = replace(_ROW, codecs={**_ROW.codecs, "rerank": _RANKING})
