"""SGLang: OpenAI-compatible. https://docs.sglang.ai/basic_usage/openai_api.html"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import COMPLETION_TOKENS, openai_compatible
from pointsman.providers._prefill import without_prompt
from pointsman.providers.api import Prefill

# https://docs.sglang.ai/basic_usage/openai_api.html
ERRORS = (
    rule(
        failures.UPSTREAM_UNSUPPORTED,
        400,
        501,
        starts="this model does not appear to be an embedding model",
        scope=Scope.OPERATION,
    ),
    rule(failures.CONTEXT_TOO_LONG, 400, says="longer than the model's context length|requested token count exceeds"),
)

PROVIDER = openai_compatible(
    "sglang",
    "SGLang",
    "http://127.0.0.1:30000/v1",
    None,
    needs_key=False,
    is_self_hosted=True,
    completion_tokens=COMPLETION_TOKENS,
    also=("responses", "rerank"),
    errors=ERRORS,
    prefill=Prefill(mark=without_prompt),
    docs="https://docs.sglang.ai/basic_usage/openai_api.html",
)
