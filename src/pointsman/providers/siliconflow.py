"""SiliconFlow: OpenAI-compatible. https://docs.siliconflow.com/en/api-reference

This is the international address. In mainland China, set `base_url: https://api.siliconflow.cn/v1`.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.siliconflow.cn/en/faqs/error-code: an error has a `code` that is a number, a `message`, and no `error`.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 402, 403, starts="sorry, your account balance is insufficient"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, 404, starts="model does not exist"),
    rule(failures.CONTEXT_TOO_LONG, 400, 413, says="must be less than max_seq_len"),
)

PROVIDER = openai_compatible(
    "siliconflow",
    "SiliconFlow",
    "https://api.siliconflow.com/v1",
    "SILICONFLOW_API_KEY",
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    also=("image", "audio", "rerank"),
    errors=ERRORS,
    docs="https://docs.siliconflow.com/en/api-reference",
)
