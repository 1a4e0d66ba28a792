"""Together AI: OpenAI-compatible. https://docs.together.ai/docs/openai-api-compatibility"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.together.ai/docs/error-codes: 403 says that a prompt is too long.
ERRORS = (
    rule(failures.CONTEXT_TOO_LONG, 403, says="token count|context length|max_new_tokens|max_tokens"),
    rule(failures.BALANCE_EMPTY, 402),
    rule(failures.BALANCE_EMPTY, 429, codes=("credit_limit",)),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, 404, codes=("model_not_available",)),
)

PROVIDER = openai_compatible(
    "together",
    "Together AI",
    "https://api.together.xyz/v1",
    "TOGETHER_API_KEY",
    rename={"max_completion_tokens": "max_tokens"},
    also=("image", "audio", "rerank", "file", "batch"),
    errors=ERRORS,
    docs="https://docs.together.ai/docs/openai-api-compatibility",
)
