"""Ollama: OpenAI-compatible. https://docs.ollama.com/api/openai-compatibility"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "ollama",
    "Ollama",
    "http://127.0.0.1:11434/v1",
    None,
    needs_key=False,
    rename={"max_completion_tokens": "max_tokens"},
    also=(Operation.RESPONSES,),
    docs="https://docs.ollama.com/api/openai-compatibility",
)
