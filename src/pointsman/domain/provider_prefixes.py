"""The names that other tools put in front of a model to name its provider, as in `vertex_ai/gemini-2.5-pro` and
`google-gla:gemini-2.5-flash`. They are the same at LiteLLM (https://docs.litellm.ai/docs/providers), LangChain
(`init_chat_model`), Pydantic AI (https://ai.pydantic.dev/models/) and models.dev, or differ as listed here."""

# Each provider of the catalog that other tools name differently. `_` and `-` count as the same.
_ALIASES = {
    "anthropic": ("claude",),
    "gemini": ("google", "google-genai", "google-gla", "googleai", "google-ai", "google-ai-studio"),
    "vertex": ("vertex-ai", "google-vertex", "google-vertexai", "vertexai", "google-vertex-anthropic",
               "google-anthropic-vertex", "anthropic-vertex", "vertex-ai-beta"),
    "bedrock": ("amazon-bedrock", "aws-bedrock", "bedrock-converse", "aws"),
    "azure": ("azure-openai", "azure-ai", "azure-cognitive-services", "azure-text"),
    "openai": ("openai-chat", "openai-responses", "text-completion-openai"),
    "mistral": ("mistralai", "codestral", "text-completion-codestral"),
    "cohere": ("cohere-chat",),
    "xai": ("x-ai", "grok"),
    "together": ("together-ai", "togetherai"),
    "fireworks": ("fireworks-ai",),
    "moonshot": ("moonshotai",),
    "zai": ("z-ai",),
    "alibaba": ("dashscope",),
    "novita": ("novita-ai",),
    "huggingface": ("hf",),
    "cloudflare": ("cloudflare-workers-ai", "workers-ai"),
    "vercel": ("vercel-ai-gateway",),
    "nvidia": ("nvidia-nim",),
    "jina": ("jina-ai",),
    "lambda": ("lambda-ai",),
    "friendli": ("friendliai",),
    "gmi": ("gmicloud",),
    "snowflake": ("snowflake-cortex",),
    "perplexity": ("perplexity-ai",),
}  # fmt: skip

# Providers that publish models of their own: without them, `gemini/gemini-2.5-pro` is the model wherever it is served.
# All other prefixes choose the machine that serves it, so no other provider may stand in.
VENDORS = frozenset((
    "ai21", "alibaba", "anthropic", "arcee", "cohere", "deepseek", "gemini", "inception", "jina", "minimax", "mistral",
    "moonshot", "openai", "perplexity", "stepfun", "upstage", "voyage", "xai", "xiaomi", "zai", "zhipu",
))  # fmt: skip

# Hosts that other tools have under the catalog's own name, and engines on a machine of the user's own.
HOSTS = frozenset((
    "azure", "baseten", "bedrock", "cerebras", "chutes", "cloudflare", "databricks", "deepinfra", "digitalocean",
    "fireworks", "friendli", "github", "github-copilot", "gmi", "groq", "huggingface", "hyperbolic", "lambda",
    "llama-cpp", "lm-studio", "lmstudio", "nebius", "novita", "nscale", "nvidia", "oci", "ollama", "ollama-chat",
    "openrouter", "ovhcloud", "replicate", "sambanova", "scaleway", "sglang", "siliconflow", "snowflake", "together",
    "vercel", "vertex", "vllm", "wandb", "watsonx",
))  # fmt: skip

_PROVIDERS = {
    **{name: name for name in (*VENDORS, *HOSTS)},
    **{alias: provider for provider, aliases in _ALIASES.items() for alias in aliases},
}


def folded(prefix: str) -> str:
    """Return a prefix or the name of a provider in the form in which all spellings are equal."""
    return prefix.strip().lower().replace("_", "-")


def provider_of(prefix: str) -> str | None:
    """Return the provider that a prefix names, in the words of the catalog; `None` if it names none."""
    return _PROVIDERS.get(folded(prefix))


def split(model: str) -> tuple[str, str]:
    """Return the part of a name before its first `/` or `:`, and the rest. Both are empty without such a mark."""
    places = [at for at in (model.find("/"), model.find(":")) if at > 0]
    return (model[: min(places)], model[min(places) + 1 :]) if places else ("", "")
