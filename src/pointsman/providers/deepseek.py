"""DeepSeek: OpenAI-compatible. https://api-docs.deepseek.com"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "deepseek",
    "DeepSeek",
    "https://api.deepseek.com/v1",
    "DEEPSEEK_API_KEY",
    embeddings=False,
    completions=False,
    rename={"max_completion_tokens": "max_tokens"},
    docs="https://api-docs.deepseek.com",
)
