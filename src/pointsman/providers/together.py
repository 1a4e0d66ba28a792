"""Together AI: OpenAI-compatible. https://docs.together.ai/docs/openai-api-compatibility"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "together",
    "Together AI",
    "https://api.together.xyz/v1",
    "TOGETHER_API_KEY",
    rename={"max_completion_tokens": "max_tokens"},
    also=(Operation.IMAGE, Operation.AUDIO, Operation.RERANK, Operation.FILE, Operation.BATCH),
    docs="https://docs.together.ai/docs/openai-api-compatibility",
)
