"""DeepInfra: OpenAI-compatible. https://deepinfra.com/docs/openai_api"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# A prompt that is too long may cause a 500. Most answers with 429 mean that the model is busy.
ERRORS = (
    rule(failures.CONTEXT_TOO_LONG, 400, 500, says=r"input length \d+ exceeds|exceeds maximum input length"),
    rule(failures.UPSTREAM_OVERLOADED, 429, codes=("engine_overloaded",)),
    rule(failures.UPSTREAM_OVERLOADED, 429, starts="model busy"),
)

PROVIDER = openai_compatible(
    "deepinfra",
    "DeepInfra",
    "https://api.deepinfra.com/v1/openai",
    "DEEPINFRA_API_KEY",
    rename={"max_completion_tokens": "max_tokens"},
    also=("image", "audio"),
    errors=ERRORS,
    docs="https://deepinfra.com/docs/openai_api",
)
