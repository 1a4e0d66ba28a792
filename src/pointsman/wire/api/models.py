"""GET /v1/models and /v1/models/{id}: the names a client may use, answered by the gateway itself."""

from msgspec import Struct
from msgspec.json import encode

from pointsman.domain import failures
from pointsman.domain.calls import Operation
from pointsman.domain.failures import Failure, Refusal
from pointsman.domain.snapshots import Snapshot
from pointsman.wire.paths import ApiPath, BodyKind


class _Model(Struct):
    id: str
    object: str
    created: int
    owned_by: str


class _List(Struct):
    object: str
    data: list[_Model]


def names_of(snapshot: Snapshot) -> list[tuple[str, str]]:
    """`(name, who serves it)`: public names, then the models providers are said to serve by their exact names."""
    names = [
        (model.name, ", ".join(dict.fromkeys(item.endpoint.name for item in model.targets)))
        for model in snapshot.models.values()
    ]
    known = {target.id for model in snapshot.models.values() for target in (*model.targets, *model.fallbacks)}
    for endpoint in snapshot.endpoints.values():
        for pattern in endpoint.serves:
            if not any(mark in pattern for mark in "*?["):
                known.add(f"{endpoint.name}/{pattern}")
    names += [(name, name.partition("/")[0]) for name in sorted(known)]
    return names


def answer(snapshot: Snapshot, path: str) -> bytes:
    """The body for `path` below `/v1`. Raises `Refusal`: 404 for a name that is not there."""
    models = [_Model(name, "model", 0, owner) for name, owner in names_of(snapshot)]
    wanted = path.partition("?")[0].removeprefix("/models").strip("/")
    if not wanted:
        return encode(_List("list", models))
    for model in models:
        if model.id == wanted:
            return encode(model)
    raise Refusal(Failure(failures.MODEL_NOT_FOUND, f"the model {wanted!r} does not exist here", param="model"))


PATHS = (ApiPath("/models", frozenset({"GET", "HEAD"}), Operation.OTHER, BodyKind.NONE, is_prefix=True),)
