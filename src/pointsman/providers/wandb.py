"""W&B Inference by CoreWeave: OpenAI-compatible. https://docs.wandb.ai/inference/api-reference"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.wandb.ai/inference/api-reference/errors. The limit of requests at a time is that of an account.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 402, 429, starts="you exceeded your current quota"),
    rule(failures.CREDENTIAL_REJECTED, 403, starts="the inference gateway is not enabled"),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, starts="concurrency limit reached", scope=Scope.KEY),
)

PROVIDER = openai_compatible(
    "wandb",
    "W&B Inference",
    "https://api.inference.wandb.ai/v1",
    "WANDB_API_KEY",
    embeddings=False,
    completions=False,
    errors=ERRORS,
    docs="https://docs.wandb.ai/inference/api-reference",
)
