"""Other tools' names of providers."""

import pytest

from pointsman.domain.provider_prefixes import folded, provider_of, split


@pytest.mark.parametrize(
    ("prefix", "provider"),
    [
        ("vertex_ai", "vertex"),
        ("Google-GLA", "gemini"),
        ("bedrock_converse", "bedrock"),
        ("together_ai", "together"),
        ("groq", "groq"),
        ("meta-llama", None),
        ("", None),
    ],
)
def test_prefix_names_a_provider(prefix: str, provider: str | None) -> None:
    assert provider_of(prefix) == provider


def test_prefix_ends_at_the_first_mark() -> None:
    assert split("openrouter:openai/gpt-4o") == ("openrouter", "openai/gpt-4o")
    assert split("groq/openai/gpt-oss:120b") == ("groq", "openai/gpt-oss:120b")
    assert split("gpt-4o") == split(":x") == ("", "")


def test_spellings_of_a_prefix_are_equal() -> None:
    assert folded(" Vertex_AI ") == "vertex-ai"
