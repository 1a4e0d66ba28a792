"""Moonshot AI (Kimi): OpenAI-compatible. https://platform.moonshot.ai/docs/api/chat"""

import re

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._prefill import on_message
from pointsman.providers._quota_headers import quota_of
from pointsman.providers.api import Prefill

# https://platform.kimi.com/docs/api/errors. An empty balance is a 403 or a 429. Limits hold for the whole account.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 403, 429, codes=("exceeded_current_quota_error",)),
    rule(failures.BALANCE_EMPTY, 403, 429, starts="your account .{1,200}(?:suspended due to|exceeded current quota)"),
    rule(failures.CONTEXT_TOO_LONG, 400, says="token length too long"),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, codes=("rate_limit_reached_error",), scope=Scope.KEY),
)

# Models that always reason do not continue a text.
_PARTIAL = re.compile(r"moonshot-v1-|kimi-k2(?!.*(?:thinking|code))")

PROVIDER = openai_compatible(
    "moonshot",
    "Moonshot AI",
    "https://api.moonshot.ai/v1",
    "MOONSHOT_API_KEY",
    embeddings=False,
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    also=("file",),
    errors=ERRORS,
    quota=quota_of(requests=""),
    # https://platform.kimi.ai/docs/guide/use-partial-mode-feature-of-kimi-api
    prefill=Prefill(mark=on_message("partial"), models=_PARTIAL),
    docs="https://platform.moonshot.ai/docs/api/chat",
)
