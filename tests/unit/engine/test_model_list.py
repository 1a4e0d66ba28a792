"""The list of models: public names, what providers are said to serve, what the catalog knows; for whom."""

from functools import partial

import msgspec
import pytest
from openai.types import Model

from fakes.configuration import compiled
from fakes.wire import refused
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.model_list import ModelList, names_of

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
    return [model["id"] for model in msgspec.json.decode(ModelList(snapshot).answer(found, "/models"))["data"]]


def test_public_names_come_first_then_targets_and_exact_patterns_then_the_catalog(snapshot: Snapshot) -> None:
    names = names_of(snapshot)
    assert names[:4] == ["chat", "local/smol", "local/tiny", "openai/gpt-4o"]
    assert {"gpt-4o", "gpt-oss-120b", "whisper-large-v3"} <= set(names[4:])
    assert "claude-sonnet-4-5" not in names


def test_a_key_sees_what_it_may_use(snapshot: Snapshot) -> None:
    everything = ids(snapshot, "all")
    assert len(everything) == len(set(everything)) > 100
    assert set(ids(snapshot, "some")) == {"chat"} | {name for name in everything if name.startswith("gpt-4.1")}
    assert {"gpt-oss-120b", "gpt-oss-20b"} <= set(ids(snapshot, "one"))
    assert not {"chat", "gpt-4o", "whisper-large-v3"} & set(ids(snapshot, "one"))


def test_official_clients_read_it_price_and_context_included(snapshot: Snapshot) -> None:
    for path in ("/models", "/models?limit=3", "/models/"):
        found = msgspec.json.decode(ModelList(snapshot).answer(None, path))
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


def test_one_model_is_found_by_its_whole_name(snapshot: Snapshot) -> None:
    models = ModelList(snapshot)
    assert msgspec.json.decode(models.answer(None, "/models/openai/gpt-4o"))["id"] == "openai/gpt-4o"
    assert msgspec.json.decode(models.answer(None, "/models/gpt-oss-120b"))["owned_by"] == "groq"
    key = next(one for one in snapshot.virtual_keys.values() if one.name == "some")
    for asked_by, path in ((None, "/models/nobody"), (key, "/models/gpt-4o")):
        failure = refused(partial(models.answer, asked_by, path))
        assert (failure.kind.code, failure.kind.status, failure.param) == ("model_not_found", 404, "model")


def test_a_list_is_worked_out_once(snapshot: Snapshot) -> None:
    models = ModelList(snapshot)
    assert models.answer(None, "/models") is models.answer(None, "/models")
