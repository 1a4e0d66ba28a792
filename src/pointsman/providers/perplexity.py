"""Perplexity: OpenAI-compatible. https://docs.perplexity.ai"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "perplexity",
    "Perplexity",
    "https://api.perplexity.ai",
    "PERPLEXITY_API_KEY",
    embeddings=False,
    completions=False,
    streams_usage=False,
    docs="https://docs.perplexity.ai",
)
