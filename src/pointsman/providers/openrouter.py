"""OpenRouter: OpenAI-compatible. https://openrouter.ai/docs/api-reference"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "openrouter",
    "OpenRouter",
    "https://openrouter.ai/api/v1",
    "OPENROUTER_API_KEY",
    also=(Operation.RESPONSES,),
    docs="https://openrouter.ai/docs/api-reference",
)
