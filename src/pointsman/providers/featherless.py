"""Featherless: OpenAI-compatible. https://featherless.ai/docs/completions

A plan has a number of concurrent requests: https://featherless.ai/docs/concurrency-limits. Tokens have no prices, so
the catalog has none. The shared rules apply to its errors.
"""

from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "featherless",
    "Featherless",
    "https://api.featherless.ai/v1",
    "FEATHERLESS_API_KEY",
    embeddings=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    docs="https://featherless.ai/docs/api-overview-and-common-options",
)
