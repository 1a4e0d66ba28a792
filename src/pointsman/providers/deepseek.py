"""DeepSeek: OpenAI-compatible. https://api-docs.deepseek.com"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://api-docs.deepseek.com/quick_start/error_codes
ERRORS = (
    rule(failures.CONTENT_FILTERED, 400, starts="content exists risk"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, starts="model not exist"),
    rule(failures.BALANCE_EMPTY, 402),
)

PROVIDER = openai_compatible(
    "deepseek",
    "DeepSeek",
    "https://api.deepseek.com",
    "DEEPSEEK_API_KEY",
    embeddings=False,
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    also=("responses",),
    keeps_responses=False,  # https://api-docs.deepseek.com/guides/responses_api
    errors=ERRORS,
    docs="https://api-docs.deepseek.com",
)
