"""Perplexity: OpenAI's Responses API and embeddings. https://docs.perplexity.ai/docs/agent-api/openai-compatibility

Its chat completions (Sonar) were shut down on 27 September 2026.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.perplexity.ai/docs/agent-api/openai-compatibility: an account without credits answers 401.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 401, codes=("insufficient_quota",)),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, codes=("invalid_model",)),
)

PROVIDER = openai_compatible(
    "perplexity",
    "Perplexity",
    "https://api.perplexity.ai/v1",
    "PERPLEXITY_API_KEY",
    chat=False,
    completions=False,
    also=("responses",),
    errors=ERRORS,
    docs="https://docs.perplexity.ai",
)
