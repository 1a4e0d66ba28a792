"""OpenAI: OpenAI-compatible. https://platform.openai.com/docs/api-reference"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import ACCOUNT, COMPLETION_TOKENS, PASSED_THROUGH, openai_compatible

# https://platform.openai.com/docs/guides/error-codes. A restricted key lacks the scope of one kind of request, and may
# well serve the others.
ERRORS = (
    rule(
        failures.UPSTREAM_MODEL_DENIED,
        401,
        403,
        starts="you have insufficient permissions for this operation|missing scopes",
    ),
    rule(failures.UPSTREAM_MODEL_DENIED, 401, 403, codes=("missing_scope", "insufficient_permissions")),
    rule(failures.UPSTREAM_OVERLOADED, 429, starts="the (?:engine|server|model) is currently overloaded|that model is"),
)

PROVIDER = openai_compatible(
    "openai",
    "OpenAI",
    "https://api.openai.com/v1",
    "OPENAI_API_KEY",
    completion_tokens=COMPLETION_TOKENS,
    also=(*PASSED_THROUGH, *ACCOUNT),
    errors=ERRORS,
    docs="https://platform.openai.com/docs/api-reference",
)
