"""Vercel AI Gateway: OpenAI-compatible. https://vercel.com/docs/ai-gateway/openai-compat

It sends a request on to the vendors of its models, whose errors it passes on.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# An account without a card gets a 403, and one without credit a 402.
ERRORS = (rule(failures.BALANCE_EMPTY, 402, 403, codes=("insufficient_funds", "customer_verification_required")),)

PROVIDER = openai_compatible(
    "vercel",
    "Vercel AI Gateway",
    "https://ai-gateway.vercel.sh/v1",
    "AI_GATEWAY_API_KEY",
    completions=False,
    also=("responses",),
    keeps_responses=False,
    errors=ERRORS,
    docs="https://vercel.com/docs/ai-gateway/openai-compat",
)
