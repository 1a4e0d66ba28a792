"""Nebius: OpenAI-compatible. https://docs.tokenfactory.nebius.com"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "nebius",
    "Nebius",
    "https://api.tokenfactory.nebius.com/v1",
    "NEBIUS_API_KEY",
    also=(Operation.IMAGE,),
    docs="https://docs.tokenfactory.nebius.com",
)
