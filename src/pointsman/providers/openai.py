"""OpenAI: OpenAI-compatible. https://platform.openai.com/docs/api-reference"""

from pointsman.providers._openai_compatible import ACCOUNT, COMPLETION_TOKENS, PASSED_THROUGH, openai_compatible

PROVIDER = openai_compatible(
    "openai",
    "OpenAI",
    "https://api.openai.com/v1",
    "OPENAI_API_KEY",
    completion_tokens=COMPLETION_TOKENS,
    also=(*PASSED_THROUGH, *ACCOUNT),
    docs="https://platform.openai.com/docs/api-reference",
)
