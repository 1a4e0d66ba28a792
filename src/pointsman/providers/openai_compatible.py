"""Any OpenAI-compatible server: OpenAI-compatible. https://platform.openai.com/docs/api-reference"""

from pointsman.providers._openai_compatible import ACCOUNT, PASSED_THROUGH, openai_compatible

PROVIDER = openai_compatible(
    "openai-compatible",
    "any OpenAI-compatible server",
    None,
    None,
    needs_key=False,
    also=(*PASSED_THROUGH, *ACCOUNT),
    docs="https://platform.openai.com/docs/api-reference",
)
