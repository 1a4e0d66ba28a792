"""Baseten's Model APIs: OpenAI-compatible. https://docs.baseten.co/inference/model-apis/overview

An error is `{"error": "<message>"}`, also of a model's own server: https://docs.baseten.co/inference/errors
"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "baseten",
    "Baseten",
    "https://inference.baseten.co/v1",
    "BASETEN_API_KEY",
    embeddings=False,
    completions=False,
    docs="https://docs.baseten.co/inference/model-apis/overview",
)
