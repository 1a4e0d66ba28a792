"""Llama.cpp: OpenAI-compatible. https://github.com/ggml-org/llama.cpp/tree/master/tools/server"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "llama-cpp",
    "llama.cpp",
    "http://127.0.0.1:8080/v1",
    None,
    needs_key=False,
    rename={"max_completion_tokens": "max_tokens"},
    also=(Operation.RESPONSES, Operation.RERANK),
    docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
)
