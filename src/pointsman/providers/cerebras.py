"""Cerebras: OpenAI-compatible. https://inference-docs.cerebras.ai"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._quota_headers import quota_of

# https://inference-docs.cerebras.ai/support/error
ERRORS = (
    rule(failures.UPSTREAM_OVERLOADED, 429, codes=("queue_exceeded",)),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, codes=("token_quota_exceeded", "request_quota_exceeded")),
    rule(failures.CREDENTIAL_REJECTED, 401, 403, codes=("wrong_api_key",)),
)

PROVIDER = openai_compatible(
    "cerebras",
    "Cerebras",
    "https://api.cerebras.ai/v1",
    "CEREBRAS_API_KEY",
    embeddings=False,
    errors=ERRORS,
    quota=quota_of(requests="requests-day", tokens="tokens-minute"),  # …/support/rate-limits
    docs="https://inference-docs.cerebras.ai",
)
