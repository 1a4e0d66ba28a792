"""Scaleway's Generative APIs: OpenAI-compatible. https://www.scaleway.com/en/developers/api/generative-apis/"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://www.scaleway.com/en/docs/generative-apis/api-cli/understanding-errors/ and
# …/troubleshooting/fixing-common-issues/: an unknown model causes a 422, and a bound above that of the model a 416.
ERRORS = (
    rule(failures.UPSTREAM_MODEL_MISSING, 422, starts="model not found"),
    rule(failures.CONTEXT_TOO_LONG, 400, says="maximum context window"),
    rule(failures.UPSTREAM_TOO_LARGE, 416),
)

PROVIDER = openai_compatible(
    "scaleway",
    "Scaleway",
    "https://api.scaleway.ai/v1",
    "SCALEWAY_API_KEY",
    completions=False,
    errors=ERRORS,
    docs="https://www.scaleway.com/en/developers/api/generative-apis/",
)
