"""Novita: OpenAI-compatible. https://novita.ai/docs/guides/llm-api"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://novita.ai/docs/guides/error: an error has a `reason` beside its `code`, which is the status. An empty balance
# is a 403.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 402, 403, codes=("not_enough_balance",)),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, codes=("model_access_denied",)),
)

PROVIDER = openai_compatible(
    "novita",
    "Novita",
    "https://api.novita.ai/openai/v1",
    "NOVITA_API_KEY",
    also=("image", "rerank"),
    errors=ERRORS,
    docs="https://novita.ai/docs/guides/llm-api",
)
