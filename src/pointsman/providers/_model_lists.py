"""Lists of models as providers write them.

https://platform.openai.com/docs/api-reference/models/list, https://ai.google.dev/api/models#method:-models.list,
https://docs.cohere.com/reference/list-models
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct


class _Model(Struct, gc=False):
    id: str


class _Page(Struct, gc=False):
    data: list[_Model]


class _GeminiModel(Struct, rename="camel", gc=False):
    name: str
    supported_generation_methods: list[str] = []


class _GeminiPage(Struct, gc=False):
    models: list[_GeminiModel]


class _CohereModel(Struct, gc=False):
    name: str
    endpoints: list[str] = []


class _CoherePage(Struct, gc=False):
    models: list[_CohereModel]


_OPENAI = msgspec.json.Decoder(_Page | list[_Model])
_GEMINI = msgspec.json.Decoder(_GeminiPage)
_COHERE_USES = frozenset({"chat", "embed", "rerank"})
_COHERE = msgspec.json.Decoder(_CoherePage)


def openai_models(body: bytes) -> Sequence[str]:
    """Return the names of the models in a list. Raises one of `json_object.UNREADABLE`."""
    found = _OPENAI.decode(body)
    return [model.id for model in (found.data if isinstance(found, _Page) else found)]


def gemini_models(body: bytes) -> Sequence[str]:
    """Return the names of the models that answer conversations. Raises one of `json_object.UNREADABLE`."""
    models = _GEMINI.decode(body).models
    return [
        model.name.removeprefix("models/")
        for model in models
        if "generateContent" in model.supported_generation_methods
    ]


def cohere_models(body: bytes) -> Sequence[str]:
    """Return the names of the models that the gateway can call. Raises one of `json_object.UNREADABLE`."""
    return [model.name for model in _COHERE.decode(body).models if not _COHERE_USES.isdisjoint(model.endpoints)]
