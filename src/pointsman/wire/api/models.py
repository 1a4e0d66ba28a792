"""The paths of GET /v1/models and /v1/models/{id}, which the gateway answers itself (`engine.model_list`)."""

from pointsman.domain.operations import Operation
from pointsman.wire.paths import ApiPath, BodyKind

PATHS = (ApiPath("/models", frozenset({"GET", "HEAD"}), Operation.OTHER, BodyKind.NONE, is_prefix=True),)
