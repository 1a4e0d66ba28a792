"""Groq: OpenAI-compatible. https://console.groq.com/docs/openai"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://console.groq.com/docs/errors, …/docs/flex-processing (498), …/docs/spend-limits, …/docs/model-permissions
ERRORS = (
    rule(failures.UPSTREAM_OVERLOADED, 498),
    rule(failures.UPSTREAM_OVERLOADED, codes=("capacity_exceeded",)),
    rule(failures.BALANCE_EMPTY, 400, 403, 429, codes=("blocked_api_access",)),
    rule(
        failures.UPSTREAM_MODEL_DENIED,
        400,
        403,
        codes=("model_terms_required", "model_permission_blocked_org", "model_permission_blocked_project"),
    ),
    rule(failures.UPSTREAM_ERROR, 424, scope=Scope.ATTEMPT),  # a remote tool failed, which the request named
)

PROVIDER = openai_compatible(
    "groq",
    "Groq",
    "https://api.groq.com/openai/v1",
    "GROQ_API_KEY",
    embeddings=False,
    completions=False,
    also=("audio", "responses", "file", "batch"),
    keeps_responses=False,  # https://console.groq.com/docs/responses-api
    errors=ERRORS,
    docs="https://console.groq.com/docs/openai",
)
