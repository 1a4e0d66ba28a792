"""Jina AI: embeddings and rankings, OpenAI-compatible and Cohere-compatible. https://api.jina.ai/redoc"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# An error has a text `detail`, and no `error`.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 402, 403, starts="insufficient (?:account )?balance"),
    rule(failures.CREDENTIAL_REJECTED, 401, 403, starts="invalid api key|api key is required|unauthorized"),
    rule(failures.CONTEXT_TOO_LONG, 400, starts=r"single text cannot exceed \d+ tokens"),
)

PROVIDER = openai_compatible(
    "jina",
    "Jina AI",
    "https://api.jina.ai/v1",
    "JINA_API_KEY",
    chat=False,
    completions=False,
    also=("rerank",),
    rename={"encoding_format": "embedding_type"},
    omit=("user",),
    lists_models=False,
    errors=ERRORS,
    docs="https://jina.ai/reranker",
)
