"""DeepSeek: OpenAI-compatible. https://api-docs.deepseek.com"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._prefill import on_message
from pointsman.providers.api import Prefill

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
    # https://api-docs.deepseek.com/guides/chat_prefix_completion
    prefill=Prefill(mark=on_message("prefix"), path="/beta/chat/completions"),
    docs="https://api-docs.deepseek.com",
)
