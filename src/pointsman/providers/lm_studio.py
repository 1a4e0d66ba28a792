"""LM Studio: OpenAI-compatible. https://lmstudio.ai/docs/developer/openai-compat"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "lm-studio",
    "LM Studio",
    "http://127.0.0.1:1234/v1",
    None,
    needs_key=False,
    rename={"max_completion_tokens": "max_tokens"},
    also=(Operation.RESPONSES,),
    docs="https://lmstudio.ai/docs/developer/openai-compat",
)
