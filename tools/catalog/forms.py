"""The forms that providers' ids have. An id of another form is a table's own alias, which no API takes."""

import re

_SLASHED = r"(Pro/)?[\w.-]+/[\w.:-]+(/community)?"
_REGION = r"(?:(?:us-gov|us|eu|apac|jp|au|ca|in|sa|global)\.)?"
_PLAIN = r"[A-Za-z0-9][\w.:-]*"
_FORMS = {
    # https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html: [profile.]vendor.model[-version:N]
    "bedrock": rf"{_REGION}[a-z0-9]+\.[a-z][a-z0-9.-]*(:\d+(:\w+)?)?",
    # https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/use-partner-models
    # [publisher/]model[@version]
    "vertex": r"([a-z0-9-]+/)?[a-z][\w.-]*(@(default|\d{3,8}(-\d+)?))?",
    # https://docs.fireworks.ai/getting-started/concepts
    "fireworks": r"accounts/[\w-]+/(models|routers)/[A-Za-z0-9][\w-]*",
    # https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/deployment-types: [region/]model
    "azure": r"((eu|us|us-gov|apac|global|global-standard)/)?[A-Za-z0-9][\w.-]*",
    "anthropic": r"claude-[a-z0-9-]+",
    "deepseek": r"deepseek-(chat|reasoner|flash|pro|v(3\.|[4-9])[\w.-]*)",  # https://api-docs.deepseek.com/quick_start/pricing
    "xai": r"(grok|v1|embedding)[\w.-]*",
    "openai": _PLAIN,
    "gemini": r"[a-z][\w.-]*",
    "mistral": r"[a-z][\w.-]*",
    "cohere": r"[a-z][\w.-]*",
    "cerebras": r"[a-z][\w.-]*",
    "databricks": r"(databricks-|system\.ai\.)[\w.-]+",  # https://docs.databricks.com/machine-learning/foundation-model-apis/supported-models
    "cloudflare": r"(@(cf|hf)|[a-z][\w-]*)/[\w./-]+",
    "oci": r"[a-z]+\.[\w.-]+",
    "synthetic": r"hf:[\w./-]+",
    "openrouter": r"~?[\w.-]+/[\w.:-]+",
    **dict.fromkeys(
        ("together", "deepinfra", "nebius", "novita", "hyperbolic", "huggingface", "siliconflow", "siliconflow-cn",
         "replicate", "vercel", "nvidia", "watsonx", "wandb", "baseten", "gmi", "io-net", "crusoe", "nscale"),
        _SLASHED,
    ),
}  # fmt: skip
_COMPILED = {provider: re.compile(pattern) for provider, pattern in _FORMS.items()}


def is_id(provider: str, model: str) -> bool:
    """Return whether a model's name has the form of the provider's ids."""
    form = _COMPILED.get(provider)
    return form is None or form.fullmatch(model) is not None
