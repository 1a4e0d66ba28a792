"""StepFun: OpenAI-compatible. https://platform.stepfun.com/docs

Accounts outside China have the address `https://api.stepfun.ai/v1`.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://platform.stepfun.com/docs/zh/api-reference/error-codes: the status has the class of an error. A prompt or an
# answer that its filter rejects is a 451.
ERRORS = (rule(failures.CONTENT_FILTERED, 451),)

PROVIDER = openai_compatible(
    "stepfun",
    "StepFun",
    "https://api.stepfun.com/v1",
    "STEP_API_KEY",
    embeddings=False,
    completions=False,
    output_bound="max_tokens",
    errors=ERRORS,
    docs="https://platform.stepfun.com/docs",
)
