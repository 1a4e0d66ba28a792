"""Ollama: OpenAI-compatible. https://docs.ollama.com/api/openai-compatibility"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.ollama.com/api/errors. Some versions return 500 for a prompt that is too long.
ERRORS = (
    rule(
        failures.UPSTREAM_UNSUPPORTED,
        400,
        501,
        starts=r'"[^"]{1,200}" does not support (?:chat|generate|embed|embeddings|completion)\b',
        scope=Scope.OPERATION,
    ),
    rule(
        failures.CONTEXT_TOO_LONG,
        400,
        413,
        500,
        says="input length exceeds the context length|exceeds? (?:max )?context length|available context size",
    ),
)

PROVIDER = openai_compatible(
    "ollama",
    "Ollama",
    "http://127.0.0.1:11434/v1",
    None,
    needs_key=False,
    is_self_hosted=True,
    rename={"max_completion_tokens": "max_tokens"},
    also=("responses",),
    keeps_responses=False,  # https://docs.ollama.com/api/openai-compatibility
    errors=ERRORS,
    docs="https://docs.ollama.com/api/openai-compatibility",
)
