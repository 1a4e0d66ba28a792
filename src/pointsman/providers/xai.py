"""XAI: OpenAI-compatible. https://docs.x.ai/docs/api-reference"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.x.ai/docs/key-information/debugging. A wrong key causes a 400. A 403 concerns a key's rights or a prompt,
# under the same code: only the words distinguish them.
ERRORS = (
    rule(failures.CREDENTIAL_REJECTED, 400, starts="incorrect api key provided"),
    rule(
        failures.CONTENT_FILTERED,
        400,
        403,
        starts="content violates usage guidelines|.{0,80}failed check: safety_check",
    ),
    rule(
        failures.BALANCE_EMPTY,
        403,
        429,
        starts=r"your (?:newly created )?(?:team|api key)\b.{0,200}(?:credits|spending limit|licenses)",
    ),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, starts=r"(?:your )?team\b.{0,80}access to (?:the )?model"),
    rule(
        failures.CREDENTIAL_REJECTED,
        403,
        starts=r"access to the \w+ endpoint is denied|(?:the|your) api.?key|your team|this team|forbidden",
    ),
    rule(failures.CONTEXT_TOO_LONG, 400, says="maximum prompt length is"),
)

PROVIDER = openai_compatible(
    "xai",
    "xAI",
    "https://api.x.ai/v1",
    "XAI_API_KEY",
    completions=False,
    also=("image", "responses"),
    errors=ERRORS,
    docs="https://docs.x.ai/docs/api-reference",
)
