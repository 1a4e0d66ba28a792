"""XAI: OpenAI-compatible. https://docs.x.ai/docs/api-reference"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "xai",
    "xAI",
    "https://api.x.ai/v1",
    "XAI_API_KEY",
    completions=False,
    also=(Operation.IMAGE, Operation.RESPONSES),
    docs="https://docs.x.ai/docs/api-reference",
)
