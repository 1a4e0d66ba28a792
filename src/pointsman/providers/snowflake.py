"""Snowflake's Cortex: OpenAI-compatible. https://docs.snowflake.com/user-guide/snowflake-cortex/cortex-rest-api

The address has the account: https://<account>.snowflakecomputing.com/api/v2/cortex/v1. The key is a programmatic access
token.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# …/cortex-rest-api#status-codes: a limit of the model's own provider is a 400, and a used budget a 402.
ERRORS = (
    rule(failures.CONTEXT_TOO_LONG, 400, starts=r"max tokens of \S+ exceeded"),
    rule(failures.UPSTREAM_OVERLOADED, 400, starts="all requests were throttled by remote service"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, starts="unknown model"),
    rule(failures.BALANCE_EMPTY, 402, starts="budget exceeded"),
    rule(failures.CREDENTIAL_REJECTED, 403, starts="not authorized"),
    rule(failures.UPSTREAM_ERROR, 503, starts="inference timed out"),
)

PROVIDER = openai_compatible(
    "snowflake",
    "Snowflake Cortex",
    None,
    "SNOWFLAKE_TOKEN",
    embeddings=False,
    completions=False,
    lists_models=False,
    errors=ERRORS,
    docs="https://docs.snowflake.com/user-guide/snowflake-cortex/cortex-rest-api",
)
