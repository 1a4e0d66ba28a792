"""Zhipu AI: OpenAI-compatible. https://docs.bigmodel.cn/cn/api/introduction"""

from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers.zai import ERRORS  # https://docs.bigmodel.cn/cn/api/api-code has the same numbers

PROVIDER = openai_compatible(
    "zhipu",
    "Zhipu AI",
    "https://open.bigmodel.cn/api/paas/v4",
    "ZHIPU_API_KEY",
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    errors=ERRORS,
    docs="https://docs.bigmodel.cn/cn/api/introduction",
)
