"""The list of models has public names, served models and models of the catalog, filtered by key."""

from functools import partial

import msgspec
import pytest
from openai.types import Model

from fakes.configuration import compiled
from fakes.wire import rejected
from pointsman.domain.requirements import NO_REQUIREMENTS, Requirement, Requirements
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.model_list import ModelList, ModelsAsked, names_of

TEXT = """
providers:
  openai: env.OPENAI_API_KEY
  groq: env.GROQ_API_KEY
  local: {type: vllm, base_url: "http://127.0.0.1:9000/v1", serves: [smol, "smol-*"]}
models: {chat: [openai/gpt-4o, local/tiny]}
pricing: {overrides: [{model: local/tiny, input_usd_per_million: 0.5, output_usd_per_million: 1}]}
governance:
  virtual_keys:
    all: env.CLIENT_KEY
    some: {value: env.GROQ_API_KEY, allow_models: ["chat", "gpt-4.1*"]}
    one: {value: env.OPENAI_API_KEY, providers: {groq: {allow_models: ["openai/*"]}}}
"""


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return compiled(TEXT).snapshot


def ids(snapshot: Snapshot, key: str) -> list[str]:
    found = next(one for one in snapshot.virtual_keys.values() if one.name == key)
    return [
        model["id"] for model in msgspec.json.decode(ModelList(snapshot).answer(ModelsAsked(found, "/models")))["data"]
    ]


def test_public_names_come_first_then_targets_and_exact_patterns_then_the_catalog(snapshot: Snapshot) -> None:
    names = names_of(snapshot)
    assert names[:4] == ["chat", "local/smol", "local/tiny", "openai/gpt-4o"]
    assert {"gpt-4o", "gpt-oss-120b", "whisper-large-v3"} <= set(names[4:])
    assert "claude-sonnet-4-5" not in names


def test_key_sees_the_models_it_may_use(snapshot: Snapshot) -> None:
    everything = ids(snapshot, "all")
    assert len(everything) == len(set(everything)) > 100
    assert set(ids(snapshot, "some")) == {"chat"} | {name for name in everything if name.startswith("gpt-4.1")}
    assert {"gpt-oss-120b", "gpt-oss-20b"} <= set(ids(snapshot, "one"))
    assert not {"chat", "gpt-4o", "whisper-large-v3"} & set(ids(snapshot, "one"))


def test_official_clients_read_the_list_with_price_and_context(snapshot: Snapshot) -> None:
    for path in ("/models", "/models?limit=3", "/models/"):
        found = msgspec.json.decode(ModelList(snapshot).answer(ModelsAsked(None, path)))
        assert found["object"] == "list"
        model = Model.model_validate(found["data"][0], strict=True)
        assert (model.id, model.object, model.owned_by) == ("chat", "model", "openai, local")
        extension = (model.model_extra or {})["pointsman"]
        assert extension["context"] == 128_000
        assert extension["providers"][0]["input_usd_per_million"] == 2.5
        assert "tools" in extension["providers"][0]["capabilities"]
        assert extension["providers"][1] == {
            "provider": "local", "model": "tiny", "input_usd_per_million": 0.5, "output_usd_per_million": 1.0
        }  # fmt: skip
        assert "sk-openai" not in str(found)


def test_single_model_is_found_by_its_full_name(snapshot: Snapshot) -> None:
    models = ModelList(snapshot)
    assert msgspec.json.decode(models.answer(ModelsAsked(None, "/models/openai/gpt-4o")))["id"] == "openai/gpt-4o"
    assert msgspec.json.decode(models.answer(ModelsAsked(None, "/models/gpt-oss-120b")))["owned_by"] == "groq"
    key = next(one for one in snapshot.virtual_keys.values() if one.name == "some")
    for asked_by, path in ((None, "/models/nobody"), (key, "/models/gpt-4o")):
        failure = rejected(partial(models.answer, ModelsAsked(asked_by, path)))
        assert (failure.kind.code, failure.kind.status, failure.param) == ("model_not_found", 404, "model")


def test_list_is_computed_once(snapshot: Snapshot) -> None:
    models = ModelList(snapshot)
    assert models.answer(ModelsAsked(None, "/models")) is models.answer(ModelsAsked(None, "/models"))


TAGGED = """
providers:
  de:
    {type: vllm, base_url: "http://127.0.0.1:9000/v1", serves: [small],
     tags: {region: {value: eu, expires: 2100-01-01}}}
  us: {type: vllm, base_url: "http://127.0.0.1:9001/v1", serves: [large], tags: {region: us}}
models:
  both: [us/large, de/small]
  far: [us/large]
  far-first: {targets: [us/large], fallbacks: [de/small]}
  own: {targets: [us/large], require: {region: eu}}
governance:
  virtual_keys:
    all: env.CLIENT_KEY
    eu: {value: env.GROQ_API_KEY, require: {region: eu}}
"""


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_key_with_a_requirement_sees_only_models_of_compliant_providers(dialect: str) -> None:
    tagged = compiled(TAGGED).snapshot
    keys = {key.name: key for key in tagged.virtual_keys.values()}
    models = ModelList(tagged)

    def names(key: str, require: Requirements = NO_REQUIREMENTS, unix_s: float = 0.0) -> set[str]:
        body = models.answer(ModelsAsked(keys[key], "/models", dialect, require, unix_s))
        found = {model["id"] for model in msgspec.json.decode(body)["data"]}
        return {name for name in found if not name.startswith("claude-via-")}

    served = {"both", "far-first", "de/small"}
    assert names("all") >= {"both", "far", "far-first", "us/large", *served}
    assert "own" not in names("all")
    assert names("eu") == served | ({"small"} & names("all"))
    assert names("all", (Requirement("region", ("us",)),)) >= {"both", "far", "us/large"}
    assert names("all", (Requirement("region", ("us",)),)).isdisjoint({"de/small", "own"})
    assert names("eu", unix_s=4_102_444_800.0) == set()
    assert rejected(lambda: models.answer(ModelsAsked(keys["eu"], "/models/far", dialect))).kind.status == 404
    both = models.answer(ModelsAsked(keys["eu"], "/models/both", dialect))
    if dialect == "openai":  # the other dialect names no providers
        assert msgspec.json.decode(both)["owned_by"] == "de"
        assert b"us" not in models.answer(ModelsAsked(keys["eu"], "/models/far-first", dialect))


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_public_names_can_be_listed_alone(snapshot: Snapshot, dialect: str) -> None:
    models = ModelList(snapshot)
    alone = models.answer(ModelsAsked(None, "/models?public=true", dialect))
    assert b"chat" in alone
    assert b"gpt-oss-120b" not in alone
    assert b"gpt-4o-mini" in models.answer(ModelsAsked(None, "/models?public=false&limit=1000", dialect))


def test_unknown_model_is_answered_with_near_names(snapshot: Snapshot) -> None:
    failure = rejected(lambda: ModelList(snapshot).answer(ModelsAsked(None, "/models/gpt-40")))
    assert "may not use it; did you mean 'gpt-4o'" in failure.message
    failure = rejected(lambda: ModelList(snapshot).answer(ModelsAsked(None, "/models/zzz")))
    assert failure.message.endswith("may not use it; GET /v1/models lists its models")
