"""Fireworks AI: OpenAI-compatible. https://docs.fireworks.ai/api-reference"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "fireworks",
    "Fireworks AI",
    "https://api.fireworks.ai/inference/v1",
    "FIREWORKS_API_KEY",
    also=(Operation.RESPONSES,),
    docs="https://docs.fireworks.ai/api-reference",
)
