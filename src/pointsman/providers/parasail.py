"""Parasail: OpenAI-compatible. https://docs.parasail.io

It rejects fields of OpenAI's that do not change an answer.
"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "parasail",
    "Parasail",
    "https://api.parasail.io/v1",
    "PARASAIL_API_KEY",
    embeddings=False,
    completions=False,
    omit=("prompt_cache_key", "store", "service_tier", "verbosity"),
    docs="https://docs.parasail.io",
)
