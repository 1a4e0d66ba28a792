"""The list of models in Gemini's dialect."""

import json
from typing import Any

import pytest

from fakes.configuration import compiled
from fakes.wire import rejected
from pointsman.engine.gemini_models import entries_of, page_of
from pointsman.engine.model_list import ModelList, ModelsAsked
from pointsman.engine.model_pages import PagedModel

TEXT = """
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {all: env.CLIENT_KEY}}
"""
CHAT = frozenset({"chat", "completion"})
ENTRIES: list[PagedModel] = [
    one for name in "abcde" for one in entries_of(name, 100, None, is_public=True, operations=CHAT)
]


def page(query: str) -> Any:
    return json.loads(page_of(ENTRIES, query))


def test_pages_follow_each_other() -> None:
    names, query, pages = list[str](), "pageSize=2", 0
    while query:
        found = page(query)
        names += [model["name"] for model in found["models"]]
        pages += 1
        token = found.get("nextPageToken", "")
        query = f"pageSize=2&pageToken={token}" if token else ""
    assert (names, pages) == ([f"models/{name}" for name in "abcde"], 3)


def test_model_has_its_limits_as_far_as_they_are_known() -> None:
    first = page("")["models"][0]
    assert (first["inputTokenLimit"], "outputTokenLimit" in first) == (100, False)
    assert first["supportedGenerationMethods"] == ["generateContent", "countTokens"]


def test_only_models_that_embed_have_the_method_for_it() -> None:
    snapshot = compiled(TEXT).snapshot
    models = ModelList(snapshot)

    def methods(name: str) -> Any:
        found = json.loads(models.answer(ModelsAsked(None, f"/models/{name}", "gemini")))
        return found["supportedGenerationMethods"]

    assert methods("gpt-4o") == ["generateContent", "countTokens"]
    assert methods("text-embedding-3-small") == ["embedContent"]


@pytest.mark.parametrize(("query", "param"), [("pageSize=x", "pageSize"), ("pageToken=z", "pageToken")])
def test_wrong_parameters_are_rejected(query: str, param: str) -> None:
    assert rejected(lambda: page(query)).param == param
