"""Any OpenAI-compatible server: OpenAI-compatible. https://platform.openai.com/docs/api-reference

Nearly all of them read `max_tokens`, and some only that (Ollama, LM Studio, llama-cpp-python, older llama.cpp and
vLLM). If a server ignores the bound, an answer may cost any amount. The models that reject `max_tokens`, OpenAI's own,
report it. A bound set by the client is not changed, since the client may well know the server. Its errors may be those
of any server that people run themselves.
"""

from pointsman.providers._openai_codecs import OLDER
from pointsman.providers._openai_compatible import ACCOUNT, COMPLETION_TOKENS, PASSED_THROUGH, openai_compatible
from pointsman.providers.llama_cpp import ERRORS as LLAMA_CPP
from pointsman.providers.lm_studio import ERRORS as LM_STUDIO
from pointsman.providers.ollama import ERRORS as OLLAMA
from pointsman.providers.sglang import ERRORS as SGLANG
from pointsman.providers.vllm import ERRORS as VLLM

PROVIDER = openai_compatible(
    "openai-compatible",
    "any OpenAI-compatible server",
    None,
    None,
    needs_key=False,
    output_bound=OLDER,
    completion_tokens=COMPLETION_TOKENS,
    also=(*PASSED_THROUGH, "rerank", "ocr", *ACCOUNT),
    errors=(*LLAMA_CPP, *VLLM, *SGLANG, *OLLAMA, *LM_STUDIO),
    docs="https://platform.openai.com/docs/api-reference",
)
