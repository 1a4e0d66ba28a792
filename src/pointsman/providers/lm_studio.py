"""LM Studio: OpenAI-compatible. https://lmstudio.ai/docs/developer/openai-compat"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://lmstudio.ai/docs/developer/openai-compat. The error for an unknown path may have status 200.
ERRORS = (
    rule(failures.UPSTREAM_UNSUPPORTED, starts="unexpected endpoint or method", scope=Scope.OPERATION),
    rule(
        failures.UPSTREAM_MODEL_MISSING,
        400,
        404,
        starts="no models? (?:is |are )?loaded|model .{0,200}not (?:found|loaded)",
    ),
    rule(
        failures.CONTEXT_TOO_LONG,
        400,
        500,
        says=r"keep the first \d+ tokens|greater than the context length|context length of only|context overflow",
    ),
)

PROVIDER = openai_compatible(
    "lm-studio",
    "LM Studio",
    "http://127.0.0.1:1234/v1",
    None,
    needs_key=False,
    is_self_hosted=True,
    rename={"max_completion_tokens": "max_tokens"},
    takes_unlimited=True,
    also=("responses",),
    errors=ERRORS,
    docs="https://lmstudio.ai/docs/developer/openai-compat",
)
