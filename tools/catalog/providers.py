"""The providers in the catalog, and their names in the tables.

The list excludes resellers that do not name the serving machines, subscriptions for single tools, and programs on the
reader's own machine. The models of such a provider say nothing about other providers.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """One provider. `litellm` may have several names; `hosts` are those of its addresses, where `*` is any
    region. `reports_usage` means that its streams end with the tokens used, on request."""

    name: str
    models_dev: str = ""
    litellm: tuple[str, ...] = ()
    genai: str = ""
    hosts: tuple[str, ...] = ()
    reports_usage: bool = True


_VERTEX = (
    "vertex_ai", "vertex_ai-language-models", "vertex_ai-anthropic_models", "vertex_ai-mistral_models",
    "vertex_ai-llama_models", "vertex_ai-embedding-models", "vertex_ai-ai21_models", "vertex_ai-deepseek_models",
    "vertex_ai-qwen_models", "vertex_ai-zai_models", "vertex_ai-openai_models", "vertex_ai-minimax_models",
    "vertex_ai-moonshot_models", "vertex_ai-text-models",
)  # fmt: skip

# A provider's host comes from models.dev if that table has one.
ROWS = (
    Row("openai", "openai", ("openai", "text-completion-openai"), "openai", ("api.openai.com",)),
    Row("anthropic", "anthropic", ("anthropic",), "anthropic", ("api.anthropic.com",)),
    Row("gemini", "google", ("gemini",), "google", ("generativelanguage.googleapis.com",)),
    Row("vertex", "google-vertex", _VERTEX, "google",
        ("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com")),
    Row("bedrock", "amazon-bedrock", ("bedrock", "bedrock_converse"), "aws",
        ("bedrock-runtime.*.amazonaws.com", "bedrock-runtime-fips.*.amazonaws.com", "bedrock-mantle.*.api.aws")),
    Row("azure", "azure", ("azure", "azure_ai", "azure_text"), "azure",
        ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com", "models.ai.azure.com",
         "openai.azure.us", "cognitiveservices.azure.us")),
    Row("mistral", "mistral", ("mistral", "codestral", "text-completion-codestral"), "mistral", ("api.mistral.ai",)),
    Row("cohere", "cohere", ("cohere", "cohere_chat"), "cohere", ("api.cohere.com", "api.cohere.ai")),
    Row("deepseek", "deepseek", ("deepseek",), "deepseek"),
    Row("xai", "xai", ("xai",), "x-ai", ("api.x.ai",)),
    Row("groq", "groq", ("groq",), "groq", ("api.groq.com",)),
    Row("cerebras", "cerebras", ("cerebras",), "cerebras", ("api.cerebras.ai",)),
    Row("together", "togetherai", ("together_ai",), "together", ("api.together.xyz", "api.together.ai")),
    Row("fireworks", "fireworks-ai", ("fireworks_ai", "fireworks_ai-embedding-models"), "fireworks"),
    Row("openrouter", "openrouter", ("openrouter",), "openrouter"),
    Row("perplexity", "perplexity", ("perplexity",), "perplexity", ("api.perplexity.ai",), reports_usage=False),
    Row("nebius", "nebius", ("nebius",), "", ("api.studio.nebius.com", "api.studio.nebius.ai")),
    Row("deepinfra", "deepinfra", ("deepinfra",), "", ("api.deepinfra.com",)),
    Row("novita", "novita-ai", ("novita",), "novita"),
    Row("moonshot", "moonshotai", ("moonshot",), "moonshotai"),
    Row("zai", "zai", ("zai",), "zai"),
    Row("zhipu", "zhipuai", (), "zhipuai"),
    Row("alibaba", "alibaba", ("dashscope",)),
    Row("alibaba-cn", "alibaba-cn", ()),
    Row("minimax", "minimax", ("minimax",), "minimax"),
    Row("ai21", "", ("ai21",), "", ("api.ai21.com",)),
    Row("arcee", "arcee", (), "arcee"),
    Row("baseten", "baseten", ("baseten",), "baseten"),
    Row("berget", "berget", ()),
    Row("chutes", "chutes", ()),
    Row("clarifai", "clarifai", ()),
    Row("cloudflare", "cloudflare-workers-ai", ("cloudflare",), "cloudflare", ("api.cloudflare.com",)),
    Row("cortecs", "cortecs", ()),
    Row("crusoe", "crusoe", ("crusoe",)),
    Row("databricks", "databricks", ("databricks",), "databricks"),
    Row("digitalocean", "digitalocean", ("gradient_ai",)),
    Row("friendli", "friendli", ("friendliai",)),
    Row("gmi", "gmicloud", ("gmi",)),
    Row("helicone", "helicone", ()),
    Row("huggingface", "huggingface", ()),
    Row("hyperbolic", "", ("hyperbolic",), "", ("api.hyperbolic.xyz",)),
    Row("inception", "inception", ("inception",)),
    Row("inference-net", "inference", ()),
    Row("infomaniak", "infomaniak", ()),
    Row("io-net", "io-net", ()),
    Row("jina", "", ("jina_ai",), "", ("api.jina.ai",)),
    Row("lambda", "", ("lambda_ai",), "", ("api.lambda.ai",)),
    Row("llama-api", "llama", ("meta_llama",)),
    Row("nearai", "nearai", ()),
    Row("nscale", "", ("nscale",), "", ("inference.api.nscale.com",)),
    Row("nvidia", "nvidia", ("nvidia_nim",)),
    Row("oci", "", ("oci",)),
    Row("ollama-cloud", "ollama-cloud", ()),
    Row("ovhcloud", "ovhcloud", ("ovhcloud",), "ovhcloud"),
    Row("poe", "poe", ()),
    Row("replicate", "", ("replicate",)),
    Row("requesty", "requesty", ()),
    Row("sambanova", "", ("sambanova",), "", ("api.sambanova.ai",)),
    Row("sap-ai-core", "sap-ai-core", ()),
    Row("scaleway", "scaleway", ("scaleway",)),
    Row("siliconflow", "siliconflow", ()),
    Row("siliconflow-cn", "siliconflow-cn", ()),
    Row("snowflake", "snowflake-cortex", ("snowflake",)),
    Row("stackit", "stackit", ()),
    Row("stepfun", "stepfun", ()),
    Row("synthetic", "synthetic", ()),
    Row("tinfoil", "tinfoil", ()),
    Row("upstage", "upstage", ()),
    Row("venice", "venice", (), "", ("api.venice.ai",)),
    Row("vercel", "vercel", ("vercel_ai_gateway",), "", ("ai-gateway.vercel.sh",)),
    Row("volcengine", "", ("volcengine",), "", ("ark.cn-beijing.volces.com",)),
    Row("voyage", "", ("voyage",), "voyageai", ("api.voyageai.com",)),
    Row("vultr", "vultr", ()),
    Row("wandb", "wandb", ("wandb",)),
    Row("watsonx", "watsonx", ("watsonx",)),
    Row("xiaomi", "xiaomi", ("xiaomi_mimo",)),
)  # fmt: skip
