"""Nebius: OpenAI-compatible. https://docs.tokenfactory.nebius.com"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.tokenfactory.nebius.com: its own errors for keys and balances, and the errors of vLLM.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 403, starts=r"(?:your )?(?:balance|account balance)\b"),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, starts="(?:you (?:do not|don't) have )?access to (?:the )?model"),
)

PROVIDER = openai_compatible(
    "nebius",
    "Nebius",
    "https://api.tokenfactory.nebius.com/v1",
    "NEBIUS_API_KEY",
    also=("image",),
    errors=ERRORS,
    docs="https://docs.tokenfactory.nebius.com",
)
