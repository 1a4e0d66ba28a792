"""Hugging Face's router: OpenAI-compatible. https://huggingface.co/docs/inference-providers

It sends a request on to one of the hosts that the account has enabled, whose errors it passes on.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://huggingface.co/docs/inference-providers: a token needs a permission of its own for these calls.
ERRORS = (
    rule(failures.UPSTREAM_MODEL_MISSING, 400, 404, codes=("model_not_supported",)),
    rule(
        failures.UPSTREAM_MODEL_MISSING,
        400,
        404,
        starts="the requested model .{0,200} is not supported by any provider",
    ),
    rule(
        failures.CREDENTIAL_REJECTED,
        403,
        starts="this authentication method does not have sufficient permissions",
    ),
)

PROVIDER = openai_compatible(
    "huggingface",
    "Hugging Face",
    "https://router.huggingface.co/v1",
    "HF_TOKEN",
    embeddings=False,
    completions=False,
    also=("responses",),
    keeps_responses=False,
    errors=ERRORS,
    docs="https://huggingface.co/docs/inference-providers",
)
