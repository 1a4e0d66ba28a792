"""Upstage: OpenAI-compatible. https://console.upstage.ai/api-keys?api=chat-reasoning

The shared rules apply to its errors.
"""

from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "upstage",
    "Upstage",
    "https://api.upstage.ai/v1",
    "UPSTAGE_API_KEY",
    embeddings=False,
    completions=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    docs="https://developers.upstage.ai",
)
