"""Ollama's cloud: OpenAI-compatible. https://docs.ollama.com/cloud"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers.ollama import ERRORS as OLLAMA

# ollama/ollama issue 15990. Its limits count the use of an account in a session and a week.
ERRORS = (
    rule(failures.UPSTREAM_MODEL_DENIED, 403, starts="this model requires a subscription"),
    rule(
        failures.UPSTREAM_RATE_LIMITED,
        429,
        starts=r"you (?:\(.{1,100}\) )?have reached your \w{1,20} usage limit",
        scope=Scope.KEY,
    ),
    *OLLAMA,
)

PROVIDER = openai_compatible(
    "ollama-cloud",
    "Ollama Cloud",
    "https://ollama.com/v1",
    "OLLAMA_API_KEY",
    embeddings=False,
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    errors=ERRORS,
    docs="https://docs.ollama.com/cloud",
)
