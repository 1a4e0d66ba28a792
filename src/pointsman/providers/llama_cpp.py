"""Llama.cpp: OpenAI-compatible. https://github.com/ggml-org/llama.cpp/tree/master/tools/server"""

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers.api import Prefill

# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-common.cpp. A 500 for a fault of a request does
# not concern the server. An operation that the server was started without returns a 501.
ERRORS = (
    rule(
        failures.UPSTREAM_UNSUPPORTED,
        starts="this server does not support (?:embeddings|completions|chat|infill|reranking|rerank)",
        scope=Scope.OPERATION,
    ),
    rule(
        failures.CONTEXT_TOO_LONG,
        400,
        500,
        says="exceeds the available context size|context size has been exceeded|input is too large to process",
    ),
    rule(
        failures.UPSTREAM_REFUSED,
        500,
        501,
        says="(?:image|audio|video) input is not supported|requires --jinja|failed to (?:load|decode) image",
    ),
)

PROVIDER = openai_compatible(
    "llama-cpp",
    "llama.cpp",
    "http://127.0.0.1:8080/v1",
    None,
    needs_key=False,
    is_self_hosted=True,
    rename={"max_completion_tokens": "max_tokens"},
    takes_unlimited=True,
    also=("responses", "rerank"),
    keeps_responses=False,  # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
    errors=ERRORS,
    # https://github.com/ggml-org/llama.cpp/tree/master/tools/server (`--prefill-assistant`, which is the default)
    prefill=Prefill(),
    docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
)
