"""Volcano Engine's Ark: OpenAI-compatible. https://www.volcengine.com/docs/82379

Outside mainland China it is BytePlus ModelArk, https://docs.byteplus.com/en/docs/ModelArk. Set its `base_url`:
`https://ark.ap-southeast.bytepluses.com/api/v3`.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.byteplus.com/en/docs/ModelArk/1299023. A model must be activated for an account first.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 403, codes=("accountoverdueerror",)),
    rule(
        failures.UPSTREAM_MODEL_DENIED,
        403,
        404,
        codes=("modelnotopen", "invalidendpointormodel.modelidaccessdisabled"),
    ),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, codes=("invalidendpoint.closedendpoint",)),
    rule(failures.UPSTREAM_OVERLOADED, 429, codes=("serveroverloaded",)),
    rule(failures.CONTENT_FILTERED, 400, says=r"may contain [\w ]{1,40} information|includes sensitive content"),
    rule(failures.CONTEXT_TOO_LONG, 400, says="exceed max message tokens"),
)

PROVIDER = openai_compatible(
    "volcengine",
    "Volcano Engine Ark",
    "https://ark.cn-beijing.volces.com/api/v3",
    "ARK_API_KEY",
    completions=False,
    also=("responses", "image", "file"),
    errors=ERRORS,
    docs="https://www.volcengine.com/docs/82379",
)
