"""Requesty: OpenAI-compatible, a router to other providers. https://docs.requesty.ai

A model's name begins with its vendor, as in `openai/gpt-4o`.
"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "requesty",
    "Requesty",
    "https://router.requesty.ai/v1",
    "REQUESTY_API_KEY",
    completions=False,
    docs="https://docs.requesty.ai",
)
