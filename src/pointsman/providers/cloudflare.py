"""Cloudflare Workers AI: OpenAI-compatible. https://developers.cloudflare.com/workers-ai/configuration/

Its paths are those of …/open-ai-compatibility/. Its address has the account's id:
`base_url: https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1`.
"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://developers.cloudflare.com/workers-ai/platform/errors/: a 429 is the end of the daily allowance (3036) or of
# capacity (3040). Errors are in a list, and have numbers.
ERRORS = (
    rule(failures.CONTEXT_TOO_LONG, codes=("5021",)),
    rule(failures.UPSTREAM_MODEL_MISSING, codes=("5007", "3042")),
    rule(failures.UPSTREAM_MODEL_DENIED, codes=("5016", "5018", "3041", "5035")),
    rule(failures.CREDENTIAL_REJECTED, codes=("3023",)),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("3036",), scope=Scope.KEY),
    rule(failures.UPSTREAM_OVERLOADED, codes=("3040",)),
    rule(failures.UPSTREAM_TOO_LARGE, codes=("3006",)),
)

PROVIDER = openai_compatible(
    "cloudflare",
    "Cloudflare Workers AI",
    None,
    "CLOUDFLARE_API_KEY",
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    lists_models=False,
    errors=ERRORS,
    docs="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/",
)
