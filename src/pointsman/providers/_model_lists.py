"""Lists of models as providers write them.

https://platform.openai.com/docs/api-reference/models/list, https://ai.google.dev/api/models#method:-models.list,
https://docs.cohere.com/reference/list-models,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListInferenceProfiles.html,
https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/publishers.models/list
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.json_object import read_or


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


class _FoundationModel(Struct, rename="camel", gc=False):
    model_id: str
    output_modalities: list[str] = []
    inference_types_supported: list[str] = []


class _InferenceProfile(Struct, rename="camel", gc=False):
    inference_profile_id: str
    status: str = ""


class _BedrockPage(Struct, rename="camel", gc=False):
    """A page of either list of Bedrock, each of which has one of these fields."""

    model_summaries: list[_FoundationModel] | None = None
    inference_profile_summaries: list[_InferenceProfile] | None = None


class _PublisherModel(Struct, gc=False):
    name: str


class _PublisherPage(Struct, rename="camel", gc=False):
    publisher_models: list[_PublisherModel] = []


_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
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


_BEDROCK = msgspec.json.Decoder(_BedrockPage)
_BEDROCK_GIVES = frozenset({"TEXT", "EMBEDDING"})


def bedrock_models(body: bytes) -> Sequence[str]:
    """Return the ids of the models that are called by their own ids, or of the inference profiles that are active.
    Raises one of `json_object.UNREADABLE`."""
    page = _BEDROCK.decode(body)
    if page.model_summaries is None and page.inference_profile_summaries is None:
        raise msgspec.ValidationError("it has neither `modelSummaries` nor `inferenceProfileSummaries`")
    called = [
        one.model_id
        for one in page.model_summaries or ()
        if "ON_DEMAND" in one.inference_types_supported and not _BEDROCK_GIVES.isdisjoint(one.output_modalities)
    ]
    return called + [
        one.inference_profile_id for one in page.inference_profile_summaries or () if one.status == "ACTIVE"
    ]


_VERTEX_BARE = ("gemini-", "claude-", "text-embedding-", "text-multilingual-embedding-")
_VERTEX = msgspec.json.Decoder(_PublisherPage)


def vertex_models(body: bytes) -> Sequence[str]:
    """Return the names of the publishers' models that the gateway can call: Gemini, embeddings and Claude by their bare
    names, and open models that Google serves, with their publisher. Raises one of `json_object.UNREADABLE`."""
    found = []
    for one in _VERTEX.decode(body).publisher_models:
        _, publisher, _, name = [*one.name.split("/", 3), "", "", ""][:4]
        if publisher in ("google", "anthropic") and name.startswith(_VERTEX_BARE):
            found.append(name)
        elif name.endswith("-maas") or publisher == "xai":
            found.append(f"{publisher}/{name}")
    return found


def next_by(field: str, parameter: str) -> Callable[[bytes], str]:
    """Return a reader of the query of the next page. `field` of a page has the token that `parameter` sends."""

    def query(body: bytes) -> str:
        token = read_or(_TEXT, _FIELDS.decode(body).get(field, b'""'), "")
        return f"{parameter}={quote(token, safe='')}" if token else ""

    return query
