"""Nscale: OpenAI-compatible. https://docs.nscale.com/docs/inference/overview"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

# https://docs.nscale.com/docs/faqs/error-codes: no credit is a 429.
ERRORS = (rule(failures.BALANCE_EMPTY, 402, 429, starts="insufficient credit"),)

PROVIDER = openai_compatible(
    "nscale",
    "Nscale",
    "https://inference.api.nscale.com/v1",
    "NSCALE_API_KEY",
    completions=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    errors=ERRORS,
    docs="https://docs.nscale.com/docs/inference/overview",
)
