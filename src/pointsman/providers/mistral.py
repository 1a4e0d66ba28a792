"""Mistral: OpenAI-compatible. https://docs.mistral.ai/api"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._mistral_ids import with_fitting_ids
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._prefill import on_message
from pointsman.providers._quota_headers import quota_of
from pointsman.providers.api import Prefill

# https://docs.mistral.ai/api: an error has a numeric `code`, often as text, such as 1300 for a rate limit.
ERRORS = (
    rule(failures.UPSTREAM_OVERLOADED, 429, codes=("3505", "service_tier_capacity_exceeded")),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, codes=("1300", "rate_limited")),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, codes=("1500", "invalid_model")),
    rule(failures.CONTEXT_TOO_LONG, 400, codes=("3051",)),
)

PROVIDER = openai_compatible(
    "mistral",
    "Mistral",
    "https://api.mistral.ai/v1",
    "MISTRAL_API_KEY",
    completions=False,
    streams_usage=False,
    rename={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
    # It rejects every field that it does not know. https://docs.mistral.ai/resources/changelogs
    omit=("store", "user", "service_tier", "safety_identifier", "prompt_cache_retention"),
    also=("moderation", "file", "audio", "ocr"),
    errors=ERRORS,
    quota=quota_of(requests="req-minute", tokens="tokens-minute"),
    # https://docs.mistral.ai/api (`prefix`): the answer may begin with the text.
    prefill=Prefill(mark=on_message("prefix"), echoes=True),
    own_fields=with_fitting_ids,
    docs="https://docs.mistral.ai/api",
)
