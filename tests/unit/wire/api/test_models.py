"""The list of models: public names first, then what providers are said to serve."""

import msgspec

from fakes.wire import refused
from pointsman.domain.calls import Operation
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.wire.api.models import answer, names_of


def _snapshot() -> Snapshot:
    key = ProviderKey("k", Secret("sk-secret"))
    origin = Origin("https", "h", 443)
    a = Endpoint("a", "openai", origin, "/v1", (key,), frozenset(Operation), serves=("gpt-4o", "gpt-*"))
    b = Endpoint("b", "openai", origin, "/v1", (key,), frozenset(Operation))
    chat = PublicModel("chat", (candidate(a, "gpt-4o"), candidate(b, "meta/llama")), (candidate(b, "spare"),))
    return Snapshot("d", {"a": a, "b": b}, {"chat": chat}, {})


def test_names_are_public_names_then_targets_and_exact_patterns() -> None:
    assert names_of(_snapshot()) == [("chat", "a, b"), ("a/gpt-4o", "a"), ("b/meta/llama", "b"), ("b/spare", "b")]


def test_the_list_has_the_shape_of_openai() -> None:
    for path in ("/models", "/models?limit=3", "/models/"):
        found = msgspec.json.decode(answer(_snapshot(), path))
        assert found["object"] == "list"
        assert found["data"][0] == {"id": "chat", "object": "model", "created": 0, "owned_by": "a, b"}
        assert b"sk-secret" not in answer(_snapshot(), path)


def test_one_model_is_found_by_its_whole_name() -> None:
    assert msgspec.json.decode(answer(_snapshot(), "/models/b/meta/llama"))["id"] == "b/meta/llama"
    failure = refused(lambda: answer(_snapshot(), "/models/nobody"))
    assert (failure.kind.code, failure.kind.status, failure.param) == ("model_not_found", 404, "model")
