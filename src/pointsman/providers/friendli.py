"""Friendli: OpenAI-compatible. https://friendli.ai/docs/guides/openai-compatibility

The address is that of its serverless endpoints. The shared rules apply to its errors.
"""

from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "friendli",
    "Friendli",
    "https://api.friendli.ai/serverless/v1",
    "FRIENDLI_TOKEN",
    embeddings=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    docs="https://friendli.ai/docs/guides/openai-compatibility",
)
