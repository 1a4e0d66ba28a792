"""The paths of Gemini's API."""

import pytest

from pointsman.wire.gemini_paths import GeminiPath, split_path

GENERATE, MODELS = "/generateContent", "/models"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/genai/v1beta/models/gemini-3:generateContent", GeminiPath(GENERATE, "gemini-3")),
        ("/genai/v1/models/openai/gpt-5:generateContent", GeminiPath(GENERATE, "openai/gpt-5")),
        ("/genai/v1/models/openai%2Fgpt-5:generateContent", GeminiPath(GENERATE, "openai/gpt-5")),
        ("/genai/v1/models/gpt:free:streamGenerateContent", GeminiPath(GENERATE, "gpt:free", streams=True)),
        ("/genai/v1/tunedModels/a:countTokens", GeminiPath("/countTokens", "tunedModels/a")),
        ("/genai/v1beta1/publishers/google/models/g:generateContent", GeminiPath(GENERATE, "g")),
        ("/genai/v1beta1/publishers/openai/models/g:generateContent", GeminiPath(GENERATE, "openai/g")),
        (
            "/genai/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent",
            GeminiPath(GENERATE, "g", streams=True),
        ),
        ("/genai/v1/models", GeminiPath(MODELS)),
        ("/genai/v1/models/openai/gpt-5", GeminiPath(MODELS, "openai/gpt-5")),
        ("/genai/v2/models/a:generateContent", None),
        ("/genai/v1/files", None),
        ("/genai/models", None),
    ],
)
def test_path_names_a_model_and_an_action(path: str, expected: GeminiPath | None) -> None:
    assert split_path("POST", path, "") == expected


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_colon_in_a_listed_name_begins_no_action(method: str) -> None:
    assert split_path(method, "/genai/v1beta/models/llama3:latest", "") == GeminiPath(MODELS, "llama3:latest")


def test_key_is_taken_out_of_the_query() -> None:
    found = split_path("POST", "/genai/v1/models/a:streamGenerateContent", "alt=sse&key=a%2Bb&x=1")
    assert found == GeminiPath(GENERATE, "a", streams=True, query="alt=sse&x=1", key="a+b")
