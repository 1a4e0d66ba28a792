"""Groq: OpenAI-compatible. https://console.groq.com/docs/openai"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "groq",
    "Groq",
    "https://api.groq.com/openai/v1",
    "GROQ_API_KEY",
    embeddings=False,
    completions=False,
    also=(Operation.AUDIO, Operation.RESPONSES, Operation.FILE, Operation.BATCH),
    docs="https://console.groq.com/docs/openai",
)
