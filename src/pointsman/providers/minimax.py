"""MiniMax: OpenAI-compatible. https://platform.minimax.io/docs/api-reference/text-openai-api"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://platform.minimax.io/docs/api-reference/errorcode: the number is at the end of the message. An empty balance
# was seen with the statuses 402, 429 and 500.
ERRORS = (
    rule(failures.BALANCE_EMPTY, codes=("insufficient_balance_error",)),
    rule(failures.BALANCE_EMPTY, 402, 429, 500, starts=r"insufficient balance \(1008\)"),
    rule(failures.CONTENT_FILTERED, 400, 422, says=r"sensitive content|\((?:1026|1027)\)$"),
)

PROVIDER = openai_compatible(
    "minimax",
    "MiniMax",
    "https://api.minimax.io/v1",
    "MINIMAX_API_KEY",
    embeddings=False,
    completions=False,
    errors=ERRORS,
    docs="https://platform.minimax.io/docs/api-reference/text-openai-api",
)
