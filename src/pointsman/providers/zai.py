"""Z.AI: OpenAI-compatible. https://docs.z.ai/api-reference/introduction"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.z.ai/api-reference/api-code: the status is 429 for a limit, an empty balance and a locked account alike.
# Only the number in `code` distinguishes them.
ERRORS = (
    rule(failures.BALANCE_EMPTY, codes=("1113", "1309")),
    rule(
        failures.CREDENTIAL_REJECTED,
        codes=("1000", "1001", "1002", "1003", "1004", "1110", "1111", "1112", "1121"),
    ),
    rule(failures.UPSTREAM_MODEL_MISSING, codes=("1211",)),
    rule(failures.UPSTREAM_MODEL_DENIED, codes=("1220", "1311")),
    rule(failures.CONTEXT_TOO_LONG, codes=("1261",)),
    rule(failures.CONTENT_FILTERED, codes=("1301",)),
    rule(failures.UPSTREAM_OVERLOADED, codes=("1312",)),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("1308", "1310", "1313"), scope=Scope.KEY),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("1302", "1303", "1304", "1305")),
)

PROVIDER = openai_compatible(
    "zai",
    "Z.AI",
    "https://api.z.ai/api/paas/v4",
    "ZAI_API_KEY",
    embeddings=False,
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    errors=ERRORS,
    docs="https://docs.z.ai/api-reference/introduction",
)
