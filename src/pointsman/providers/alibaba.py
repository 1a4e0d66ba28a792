"""Alibaba Cloud's Model Studio: OpenAI-compatible. https://www.alibabacloud.com/help/en/model-studio/

This is the international address. In mainland China, set `base_url: https://dashscope.aliyuncs.com/compatible-mode/v1`.
"""

import re

from pointsman.domain import failures
from pointsman.domain.failures import Scope
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._prefill import on_message
from pointsman.providers.api import Prefill

# https://help.aliyun.com/en/model-studio/error-code-start, …/rate-limit. The code `insufficient_quota` means a limit
# per minute here, not an empty account, which is `Arrearage`.
ERRORS = (
    rule(failures.BALANCE_EMPTY, 400, 403, codes=("arrearage", "allocationquota.freetieronly")),
    rule(
        failures.UPSTREAM_RATE_LIMITED,
        429,
        codes=("insufficient_quota", "throttling", "throttling.ratequota", "throttling.allocationquota"),
    ),
    rule(failures.CONTEXT_TOO_LONG, 400, says=r"range of input length should be \[1, \d+\]"),
    rule(failures.CONTENT_FILTERED, 400, codes=("data_inspection_failed", "datainspectionfailed")),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, codes=("accessdenied.unpurchased", "model.accessdenied")),
    rule(failures.UPSTREAM_MODEL_MISSING, 404, codes=("modelnotfound",)),
    rule(failures.UPSTREAM_FORBIDDEN, 403, codes=("accessdenied", "access_denied"), scope=Scope.ATTEMPT),
)

_PARTIAL = re.compile(r"^qwen[\d.]*-(?:max|plus|flash|turbo|coder|vl|math)(?!.*thinking)")

PROVIDER = openai_compatible(
    "alibaba",
    "Alibaba Cloud Model Studio",
    "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "DASHSCOPE_API_KEY",
    rename={"max_completion_tokens": "max_tokens"},
    also=("file", "batch"),
    errors=ERRORS,
    # https://www.alibabacloud.com/help/en/model-studio/partial-mode
    prefill=Prefill(mark=on_message("partial"), models=_PARTIAL),
    docs="https://www.alibabacloud.com/help/en/model-studio/",
)
