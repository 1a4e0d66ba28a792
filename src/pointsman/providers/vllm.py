"""VLLM: OpenAI-compatible. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import COMPLETION_TOKENS, openai_compatible

PROVIDER = openai_compatible(
    "vllm",
    "vLLM",
    "http://127.0.0.1:8000/v1",
    None,
    needs_key=False,
    completion_tokens=COMPLETION_TOKENS,
    also=(Operation.RESPONSES, Operation.AUDIO, Operation.RERANK),
    docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
)
