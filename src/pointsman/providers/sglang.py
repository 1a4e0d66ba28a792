"""SGLang: OpenAI-compatible. https://docs.sglang.ai/basic_usage/openai_api.html"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import COMPLETION_TOKENS, openai_compatible

PROVIDER = openai_compatible(
    "sglang",
    "SGLang",
    "http://127.0.0.1:30000/v1",
    None,
    needs_key=False,
    completion_tokens=COMPLETION_TOKENS,
    also=(Operation.RESPONSES, Operation.RERANK),
    docs="https://docs.sglang.ai/basic_usage/openai_api.html",
)
