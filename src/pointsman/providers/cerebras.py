"""Cerebras: OpenAI-compatible. https://inference-docs.cerebras.ai"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "cerebras",
    "Cerebras",
    "https://api.cerebras.ai/v1",
    "CEREBRAS_API_KEY",
    embeddings=False,
    docs="https://inference-docs.cerebras.ai",
)
