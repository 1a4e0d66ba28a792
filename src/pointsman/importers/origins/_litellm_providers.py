"""LiteLLM's prefixes of models, and the credentials of its deployments."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pointsman.importers.draft import Draft, compact, name_of

# https://docs.litellm.ai/docs/providers
TYPES = {
    "anthropic": "anthropic",
    "azure": "azure",
    "azure_text": "azure",
    "azure_ai": "openai-compatible",
    "baseten": "baseten",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "cerebras": "cerebras",
    "chutes": "chutes",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "custom_openai": "openai-compatible",
    "dashscope": "alibaba",
    "databricks": "databricks",
    "deepinfra": "deepinfra",
    "deepseek": "deepseek",
    "featherless_ai": "featherless",
    "fireworks_ai": "fireworks",
    "friendliai": "friendli",
    "gemini": "gemini",
    "github": "github-models",
    "groq": "groq",
    "hosted_vllm": "vllm",
    "huggingface": "huggingface",
    "jina_ai": "jina",
    "litellm_proxy": "openai-compatible",
    "llamafile": "openai-compatible",
    "lm_studio": "lm-studio",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshot",
    "nebius": "nebius",
    "novita": "novita",
    "nscale": "nscale",
    "nvidia_nim": "nvidia",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai": "openai",
    "openai_like": "openai-compatible",
    "openrouter": "openrouter",
    "ovhcloud": "ovhcloud",
    "perplexity": "perplexity",
    "sambanova": "sambanova",
    "snowflake": "snowflake",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "vllm": "vllm",
    "volcengine": "volcengine",
    "voyage": "voyage",
    "wandb": "wandb",
    "xai": "xai",
    "zai": "zai",
}
# LiteLLM looks up models without a prefix in its table of models.
_BARE = (
    (re.compile(r"gpt-|o\d|chatgpt|text-embedding-|dall-e|whisper|tts-|omni-|ft:|davinci|babbage"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "vertex_ai"),
    (re.compile(r"command|embed-|rerank-"), "cohere"),
    (re.compile(r"(?:anthropic|amazon|meta|cohere|mistral|ai21)\."), "bedrock"),
)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
# Environment variables that LiteLLM reads if a deployment has no key.
_KEY_VARIABLES = {
    "azure": "AZURE_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "huggingface": "HUGGINGFACE_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "nvidia_nim": "NVIDIA_NIM_API_KEY",
    "github": "GITHUB_API_KEY",
    "vercel_ai_gateway": "VERCEL_AI_GATEWAY_API_KEY",
    "cohere_chat": "COHERE_API_KEY",
}
_NO_KEY = frozenset({"ollama", "ollama_chat", "hosted_vllm", "vllm", "lm_studio", "llamafile"})
CREDENTIAL_FIELDS = frozenset(
    {
        "api_key", "api_base", "base_url", "api_version", "azure_ad_token", "tenant_id", "client_id",
        "client_secret", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name",
        "aws_role_name", "aws_session_name", "vertex_project", "vertex_location", "vertex_credentials",
        "litellm_credential_name",
    }
)  # fmt: skip


class Placed(Struct):
    """The provider that serves a deployment, and the model there."""

    provider: str
    prefix: str
    type: str
    model: str


def split_model(text: str, *, has_address: bool, custom: object = None) -> tuple[str | None, str]:
    """Return LiteLLM's prefix and the model. There is no prefix if nobody knows the provider."""
    if isinstance(custom, str) and custom:
        return custom, text.removeprefix(f"{custom}/")
    prefix, slash, model = text.partition("/")
    if slash and prefix in TYPES:
        return prefix, model
    for pattern, provider in _BARE:
        if pattern.match(text):
            return provider, text
    if text == "*":
        return "openai", text
    if has_address:
        return "openai_like", text
    return (prefix, model) if slash else (None, text)


class Providers:
    """The providers of a draft. Each set of address and credentials is a provider of its own, because a deployment of
    LiteLLM is one: it is balanced, and fails, alone."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._named: dict[str, str] = {}

    def place(self, origin: str, params: Mapping[str, Any]) -> Placed | None:
        """Return the place of a deployment, and add its provider. `None` if it has no counterpart, which is noted."""
        draft, text = self._draft, str(params.get("model") or "")
        address = params.get("api_base") or params.get("base_url")
        prefix, model = split_model(text, has_address=bool(address), custom=params.get("custom_llm_provider"))
        kind = TYPES.get(prefix or "")
        if kind is None and address:
            kind = "openai-compatible"
            draft.changed(origin, f"{prefix or text} is used as a provider with OpenAI's API, at its address")
        if kind is None or prefix is None:
            draft.lost(origin, f"no provider is known for {text!r}; the deployment is left out")
            return None
        spec: dict[str, Any] = {"type": kind}
        if address:
            spec["base_url"] = self._address(origin, str(address), kind, params)
        elif kind in ("azure", "openai-compatible", "databricks", "snowflake"):
            draft.lost(origin, f"{text!r} has no api_base; the deployment is left out")
            return None
        if kind == "azure" and not str(spec["base_url"]).endswith("/openai/v1"):
            spec["api_version"] = str(params.get("api_version") or "2024-10-21")
        if kind == "bedrock":
            model = self._bedrock(origin, spec, model, params)
        if kind == "vertex":
            spec["project"] = self._plain(origin, params.get("vertex_project"), "vertex_project")
            spec["region"] = self._plain(origin, params.get("vertex_location"), "vertex_location") or "us-central1"
        key = self._credential(origin, prefix, kind, params)
        spec["keys"] = {"default": key}
        return Placed(self._provider(prefix, compact(spec)), prefix, kind, model)

    def _provider(self, prefix: str, spec: dict[str, Any]) -> str:
        known = repr(sorted(spec.items(), key=lambda item: item[0]))
        if (name := self._named.get(known)) is None:
            providers = self._draft.section("providers")
            name = self._named[known] = name_of(prefix, providers, "provider")
            if name == spec["type"]:
                del spec["type"]
            providers[name] = spec
        return name

    def _address(self, origin: str, address: str, kind: str, params: Mapping[str, Any]) -> str:
        if address.startswith("os.environ/"):
            variable = address.removeprefix("os.environ/")
            self._draft.todo(
                f"{origin}.api_base", f"the address is in the environment variable {variable}; write it here instead"
            )
            return f"https://{variable.lower().replace('_', '-')}.example/v1"
        address = address.rstrip("/").removesuffix("/chat/completions").rstrip("/")
        if kind == "azure" and "/openai" not in address:
            v1 = str(params.get("api_version") or "") in ("v1", "preview", "latest")
            return f"{address}/openai/v1" if v1 else f"{address}/openai"
        if kind == "ollama" and not address.endswith("/v1"):
            return f"{address}/v1"  # LiteLLM speaks Ollama's own API
        return address

    def _plain(self, origin: str, value: object, name: str) -> str | None:
        if isinstance(value, str) and value.startswith("os.environ/"):
            variable = value.removeprefix("os.environ/")
            self._draft.todo(f"{origin}.{name}", f"the value is in the environment variable {variable}; write it here")
            return variable.lower().replace("_", "-")
        return str(value) if value else None

    def _bedrock(self, origin: str, spec: dict[str, Any], model: str, params: Mapping[str, Any]) -> str:
        for part in ("converse/", "invoke/", "converse_like/"):
            model = model.removeprefix(part)
        region, slash, rest = model.partition("/")
        if slash and _REGION.fullmatch(region):
            model = rest
        else:
            region = ""
        named = self._plain(origin, params.get("aws_region_name"), "aws_region_name")
        spec["region"] = named or region or "us-east-1"
        if not (named or region):
            self._draft.todo(origin, "LiteLLM reads the region from AWS_REGION; write it here instead of us-east-1")
        return model

    def _credential(self, origin: str, prefix: str, kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
        key = params.get("api_key")
        if kind == "bedrock" and not key:
            names = ("access_key_id", "secret_access_key", "session_token")
            aws = {one: self._secret(params.get(f"aws_{one}"), f"{prefix}_{one}") for one in names}
            aws["role_arn"] = params.get("aws_role_name")
            return {"aws": compact(aws) or "ambient"}
        if kind == "vertex" and not key:
            file = params.get("vertex_credentials")
            if not file:
                return {"google": "adc"}
            text = str(file)
            if text.startswith(("os.environ/", "{")):
                return {"google": self._secret(text, "VERTEX_CREDENTIALS")}
            return {"google": f"file:{text}"}
        if kind == "azure" and not key and params.get("client_id"):
            entra = {
                "tenant": self._secret(params.get("tenant_id"), "AZURE_TENANT_ID"),
                "client_id": self._secret(params.get("client_id"), "AZURE_CLIENT_ID"),
                "client_secret": self._secret(params.get("client_secret"), "AZURE_CLIENT_SECRET"),
            }
            return {"entra": compact(entra)}
        if key:
            return {"value": self._secret(key, f"{prefix}_API_KEY")}
        if params.get("azure_ad_token"):
            self._draft.lost(
                f"{origin}.azure_ad_token", "a fixed token has no counterpart; `entra` fetches and renews them"
            )
        if prefix in _NO_KEY:
            return {"value": ""}
        return {"value": f"env.{_KEY_VARIABLES.get(prefix, f'{prefix.upper()}_API_KEY'.replace('-', '_'))}"}

    def _secret(self, value: object, name: str) -> str | None:
        if not value:
            return None
        return reference(self._draft, str(value), name)


def reference(draft: Draft, value: str, name: str) -> str:
    """Return a reference to a secret, from LiteLLM's `os.environ/NAME` or from the secret itself."""
    if value.startswith("os.environ/"):
        return f"env.{value.removeprefix('os.environ/')}"
    return draft.secret(value, name)


def providers_of(prefix: str, placed: list[Placed]) -> list[str]:
    """Return the providers with one of LiteLLM's prefixes."""
    return sorted({one.provider for one in placed if one.prefix == prefix})
