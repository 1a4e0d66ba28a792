"""The rules of canonical names, applied to the names they were written for."""

import pytest

from pointsman.catalog.names import key_of


@pytest.mark.parametrize(
    ("provider", "model", "asked"),
    [
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022"),
        ("bedrock", "meta.llama3-1-70b-instruct-v1:0", "llama-3.1-70b-instruct"),
        ("bedrock", "anthropic.claude-v2:1", "claude-2.1"),
        ("bedrock", "deepseek.r1-v1:0", "deepseek-r1-0120"),
        ("bedrock", "in.anthropic.claude-sonnet-5", "claude-sonnet-5"),
        ("bedrock", "qwen.qwen3-coder-480b-a35b-v1:0", "qwen3-coder"),
        ("bedrock", "qwen.qwen3-235b-a22b-2507-v1:0", "Qwen3-235B-A22B-Instruct-2507"),
        ("mistral", "ministral-14b-2512", "Ministral-3-14B-Instruct-2512"),
        ("mistral", "open-mistral-nemo", "Mistral-Nemo-Instruct-2407"),
        ("mistral", "mistral-medium-2604", "mistral-medium-3.5"),
        ("openrouter", "~anthropic/claude-haiku-latest", "claude-haiku-latest@openrouter"),
        ("bedrock", "openai.gpt-oss-20b-1:0", "gpt-oss-20b"),
        ("bedrock", "mistral.mistral-7b-instruct-v0:2", "mistral-7b-instruct-v0.2"),
        ("bedrock", "amazon.nova-lite-v1:0:300k", "nova-lite"),
        ("vertex", "claude-opus-4-1@20250805", "claude-opus-4-1"),
        ("vertex", "claude-opus-5@default", "claude-opus-5"),
        ("vertex", "meta/llama-3.3-70b-instruct-maas", "llama-3.3-70b-instruct"),
        ("vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("fireworks", "accounts/fireworks/models/llama-v3p3-70b-instruct", "Llama-3.3-70B-Instruct"),
        ("fireworks", "accounts/fireworks/models/kimi-k2p5", "kimi-k2.5"),
        ("azure", "eu/gpt-4o-mini", "gpt-4o-mini"),
        ("databricks", "databricks-claude-sonnet-4-5", "claude-sonnet-4.5"),
        ("cloudflare", "@cf/meta/llama-3.1-8b-instruct", "llama-3.1-8b-instruct"),
        ("openrouter", "anthropic/claude-4.5-sonnet", "claude-sonnet-4-5"),
        ("openrouter", "qwen/qwen-2.5-72b-instruct", "Qwen/Qwen2.5-72B-Instruct"),
        ("groq", "llama-3.3-70b-versatile", "meta-llama/Llama-3.3-70B-Instruct"),
        ("sap-ai-core", "anthropic--claude-4.5-opus", "claude-opus-4-5"),
        ("deepseek", "deepseek-chat", "deepseek-chat"),
        ("deepseek", "deepseek-v4-pro", "deepseek-v4-pro-0813"),
        ("openai", "chatgpt-4o-latest", "chatgpt-4o-latest"),
    ],
)
def test_names_of_one_model_share_a_key(provider: str, model: str, asked: str) -> None:
    assert key_of(provider, model) == key_of("", asked)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("openai", "gpt-4o"), ("openai", "gpt-4o-mini")),
        (("openai", "gpt-4o"), ("openai", "gpt-4o-2024-08-06")),
        (("bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0"), ("vertex", "claude-3-5-sonnet@20241022")),
        (("bedrock", "amazon.titan-embed-text-v1"), ("bedrock", "amazon.titan-embed-text-v2:0")),
        (("bedrock", "stability.stable-image-ultra-v1:0"), ("bedrock", "stability.stable-image-ultra-v1:1")),
        (("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"), ("nebius", "meta-llama/Llama-3.3-70B-Instruct")),
        (("lambda", "llama3.1-70b-instruct-fp8"), ("deepinfra", "meta-llama/Meta-Llama-3.1-70B-Instruct")),
        (("wandb", "OpenPipe/Qwen3-14B-Instruct"), ("nebius", "Qwen/Qwen3-14B")),
        (("openrouter", "openai/gpt-oss-20b:free"), ("groq", "openai/gpt-oss-20b")),
        # One name with two meanings: a vendor's newest model, base or tuned, each host's own acceleration.
        (("deepseek", "deepseek-chat"), ("openrouter", "deepseek/deepseek-chat")),
        (("deepseek", "deepseek-v4-flash"), ("novita", "deepseek/deepseek-v4-flash")),
        (("together", "deepseek-ai/DeepSeek-R1"), ("novita", "deepseek/deepseek-r1")),
        (("fireworks", "accounts/fireworks/models/llama-v3-8b"), ("snowflake", "llama3-8b")),
        (("baseten", "zai-org/GLM-5.2-Fast"), ("fireworks", "accounts/fireworks/routers/glm-5p2-fast")),
    ],
)
def test_different_models_have_different_keys(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert key_of(*one) != key_of(*other)


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openrouter", "deepseek/deepseek-chat"), ("bedrock", "us.anthropic.claude-opus-5"), ("snowflake", "llama3-8b")],
)
def test_key_of_a_key_is_itself(provider: str, model: str) -> None:
    key = key_of(provider, model)
    assert key_of("", key) == key
