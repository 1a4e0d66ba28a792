"""GitHub Models: OpenAI-compatible. https://docs.github.com/en/github-models

Its list of models has another address and shape, so it is not read.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.github.com/en/github-models/use-github-models/prototyping-with-ai-models#rate-limits: a plan limits the
# tokens of a request below the context of the model, and requests for each model and day.
ERRORS = (
    rule(failures.CONTEXT_TOO_LONG, 413, codes=("tokens_limit_reached",)),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, codes=("RateLimitReached",)),
)

PROVIDER = openai_compatible(
    "github-models",
    "GitHub Models",
    "https://models.github.ai/inference",
    "GITHUB_MODELS_TOKEN",
    completions=False,
    lists_models=False,
    errors=ERRORS,
    docs="https://docs.github.com/en/github-models",
)
