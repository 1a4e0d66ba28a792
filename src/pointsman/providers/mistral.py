"""Mistral: OpenAI-compatible. https://docs.mistral.ai/api"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "mistral",
    "Mistral",
    "https://api.mistral.ai/v1",
    "MISTRAL_API_KEY",
    completions=False,
    streams_usage=False,
    rename={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
    also=(Operation.MODERATION, Operation.FILE, Operation.AUDIO),
    docs="https://docs.mistral.ai/api",
)
