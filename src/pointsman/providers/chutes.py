"""Chutes: OpenAI-compatible. https://chutes.ai/agents/connect

The shared rules apply to its errors.
"""

from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "chutes",
    "Chutes",
    "https://llm.chutes.ai/v1",
    "CHUTES_API_KEY",
    embeddings=False,
    completions=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    docs="https://chutes.ai/agents/connect",
)
