"""Any OpenAI-compatible server: OpenAI-compatible. https://platform.openai.com/docs/api-reference

Nearly all of them read `max_tokens`, and some nothing else (Ollama, LM Studio, llama-cpp-python, older llama.cpp and
vLLM). An answer whose bound is ignored may cost any amount, while the models that refuse `max_tokens`, OpenAI's own,
say so. What a client states is not touched: it may well know what it speaks to.
"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import ACCOUNT, COMPLETION_TOKENS, PASSED_THROUGH, openai_compatible
from pointsman.wire.output_bound import OLDER

PROVIDER = openai_compatible(
    "openai-compatible",
    "any OpenAI-compatible server",
    None,
    None,
    needs_key=False,
    output_bound=OLDER,
    completion_tokens=COMPLETION_TOKENS,
    also=(*PASSED_THROUGH, Operation.RERANK, *ACCOUNT),
    docs="https://platform.openai.com/docs/api-reference",
)
