"""Venice: OpenAI-compatible. https://docs.venice.ai/api-reference"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.venice.ai/api-reference/error-codes: a model for subscribers only causes a 401, like a wrong key.
ERRORS = (rule(failures.UPSTREAM_MODEL_DENIED, 401, starts="this model is only available to pro users"),)

PROVIDER = openai_compatible(
    "venice",
    "Venice",
    "https://api.venice.ai/api/v1",
    "VENICE_API_KEY",
    completions=False,
    also=("image", "audio"),
    errors=ERRORS,
    docs="https://docs.venice.ai/api-reference",
)
