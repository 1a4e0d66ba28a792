"""VLLM: OpenAI-compatible. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import COMPLETION_TOKENS, openai_compatible
from pointsman.providers._prefill import without_prompt
from pointsman.providers.api import Prefill

# https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: the start options decide if a model embeds or
# chats.
ERRORS = (
    rule(
        failures.UPSTREAM_UNSUPPORTED,
        400,
        404,
        501,
        starts=r"the model does not support (?:the )?[\w ]{1,40} API",
        scope=Scope.OPERATION,
    ),
)

PROVIDER = openai_compatible(
    "vllm",
    "vLLM",
    "http://127.0.0.1:8000/v1",
    None,
    needs_key=False,
    is_self_hosted=True,
    completion_tokens=COMPLETION_TOKENS,
    also=("responses", "audio", "rerank"),
    errors=ERRORS,
    prefill=Prefill(mark=without_prompt),
    docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
)
