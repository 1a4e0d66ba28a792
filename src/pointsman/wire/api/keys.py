"""POST /v1/keys: a short-lived child of the presented virtual key. Control makes it (`engine.child_keys`)."""

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.wire.json_object import read_object
from pointsman.wire.paths import ApiPath

PATHS = (ApiPath("/keys", frozenset({"POST"}), "other", "none"),)

MAX_BODY_BYTES = 16 * 1024


def check_body(body: bytes) -> None:
    """Check that a body may be the settings of a child key: one JSON object of a bounded size. Raises `Rejection`."""
    if len(body) > MAX_BODY_BYTES:
        message = f"the settings of a child key have more than {MAX_BODY_BYTES} bytes; set fewer limits or models"
        raise Rejection(Failure(failures.REQUEST_TOO_LARGE, message))
    read_object(body)
