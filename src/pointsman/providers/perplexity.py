"""Perplexity: OpenAI's Responses API and embeddings. https://docs.perplexity.ai/docs/agent-api/openai-compatibility

Its chat completions (Sonar) were shut down on 27 September 2026.
"""

from pointsman.domain.calls import Operation
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "perplexity",
    "Perplexity",
    "https://api.perplexity.ai/v1",
    "PERPLEXITY_API_KEY",
    chat=False,
    completions=False,
    also=(Operation.RESPONSES,),
    docs="https://docs.perplexity.ai",
)
