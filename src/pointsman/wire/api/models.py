"""The paths of GET /v1/models and /v1/models/{id}, which the gateway answers itself (`engine.model_list`)."""

from pointsman.wire.paths import ApiPath

PATHS = (ApiPath("/models", frozenset({"GET", "HEAD"}), "other", "none", is_prefix=True),)
