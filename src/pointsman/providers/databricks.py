"""Databricks: OpenAI-compatible. https://docs.databricks.com/aws/en/machine-learning/model-serving/query-chat-models

Its address is that of a workspace: `base_url: https://WORKSPACE.cloud.databricks.com/serving-endpoints`, or one that
ends with `/ai-gateway/mlflow/v1`.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# An error has `error_code` and `message`. A limit of tokens per minute was seen with the status 400 too.
ERRORS = (
    rule(failures.UPSTREAM_RATE_LIMITED, 400, 429, codes=("request_limit_exceeded",)),
    rule(failures.CONTEXT_TOO_LONG, 400, says=r"prompt token count \(\d+\) cannot exceed"),
)

PROVIDER = openai_compatible(
    "databricks",
    "Databricks",
    None,
    "DATABRICKS_TOKEN",
    rename={"max_completion_tokens": "max_tokens"},
    lists_models=False,
    errors=ERRORS,
    docs="https://docs.databricks.com/aws/en/machine-learning/model-serving/query-chat-models",
)
