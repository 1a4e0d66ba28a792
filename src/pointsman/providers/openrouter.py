"""OpenRouter: OpenAI-compatible. https://openrouter.ai/docs/api-reference"""

import re

from msgspec import Raw

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._mistral_ids import with_fitting_ids
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers.api import Prefill

# https://openrouter.ai/docs/api/reference/errors-and-debugging. A 403 means that a prompt was flagged, or that the
# limit set for a key is used up. A 402 may mean that the credits do not cover the tokens of this request, while smaller
# requests still pass.
ERRORS = (
    rule(failures.UPSTREAM_TOO_LARGE, 402, says="can only afford|tokens limit exceeded"),
    rule(failures.UPSTREAM_TOO_LARGE, 400, codes=("token_limit_exceeded",)),
    rule(failures.BALANCE_EMPTY, 402),
    rule(failures.BALANCE_EMPTY, 403, starts="key limit exceeded"),
    rule(failures.CONTENT_FILTERED, 403, starts=".{0,200}(?:requires moderation|was flagged|moderation)"),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, 404, starts=".{0,200} is not a valid model id|no endpoints found"),
)

_PREFILLED = re.compile(r"^anthropic/claude-(?:3|[a-z]+-4(?:\.[015])?(?![.\d]))")


def _fitted(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields of a chat with ids of calls that its model takes."""
    return with_fitting_ids(fields) if bytes(fields["model"]).startswith(b'"mistralai/') else fields


PROVIDER = openai_compatible(
    "openrouter",
    "OpenRouter",
    "https://openrouter.ai/api/v1",
    "OPENROUTER_API_KEY",
    also=("responses", "rerank"),
    keeps_responses=False,  # https://openrouter.ai/docs/api-reference/responses/overview
    errors=ERRORS,
    # https://openrouter.ai/docs/api-reference/overview (`Assistant Prefill`), for models whose authors take one
    prefill=Prefill(models=_PREFILLED),
    own_fields=_fitted,
    docs="https://openrouter.ai/docs/api-reference",
)
