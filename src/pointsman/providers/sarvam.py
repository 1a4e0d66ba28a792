"""Sarvam AI: chat is OpenAI-compatible. https://docs.sarvam.ai/api-reference-docs/chat

Speech and transcriptions have an API and a header for the key of their own, and are not served.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.sarvam.ai/api/getting-started/errors-troubleshooting: a wrong key is a 403, and no credit a 429.
ERRORS = (
    rule(failures.CREDENTIAL_REJECTED, 401, 403, codes=("invalid_api_key_error",)),
    rule(failures.BALANCE_EMPTY, 402, 403, 429, codes=("insufficient_quota_error",)),
    rule(failures.UPSTREAM_OVERLOADED, 503, codes=("rate_limit_exceeded_error",)),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("rate_limit_exceeded_error",)),
)

PROVIDER = openai_compatible(
    "sarvam",
    "Sarvam AI",
    "https://api.sarvam.ai/v1",
    "SARVAM_API_KEY",
    embeddings=False,
    completions=False,
    lists_models=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    errors=ERRORS,
    docs="https://docs.sarvam.ai",
)
