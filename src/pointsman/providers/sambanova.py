"""SambaNova: OpenAI-compatible. https://docs.sambanova.ai/docs/en/features/openai-compatibility"""

from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "sambanova",
    "SambaNova",
    "https://api.sambanova.ai/v1",
    "SAMBANOVA_API_KEY",
    completions=False,
    also=("audio",),
    docs="https://docs.sambanova.ai/docs/en/features/openai-compatibility",
)
