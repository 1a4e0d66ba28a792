"""Public test data stored beside the repository. Tests that need it are skipped if it is missing."""

import json
from functools import lru_cache
from pathlib import Path

import pytest
import yaml
from msgspec import Struct

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


class Recorded(Struct, frozen=True):
    """One recorded exchange. `request` and `body` are whole bodies, empty if there was none."""

    uri: str
    status: int
    is_stream: bool
    request: bytes
    body: bytes


def shared(*parts: str) -> Path:
    """Return the path below the shared data, or skip the test if it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no test data at {path}")
    return path


def recorded(uri_part: str, *, is_stream: bool | None = None) -> list[Recorded]:
    """Return the exchanges whose address contains `uri_part`, or skip the test if there are no recordings."""
    shared("recordings", "pydantic-ai")
    found = [
        item for item in _recordings() if uri_part in item.uri and (is_stream is None or item.is_stream is is_stream)
    ]
    assert found, f"nothing was recorded from {uri_part}"
    return found


@lru_cache(maxsize=1)
def _recordings() -> list[Recorded]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[Recorded] = []
    for path in sorted((SHARED / "recordings" / "pydantic-ai").rglob("*.yaml")):
        if path.name.endswith(".xai.yaml"):  # gRPC
            continue
        with path.open(encoding="utf-8") as file:
            document = yaml.load(file, loader)
        for item in document["interactions"]:
            request, response = item["request"], item["response"]
            kinds = {name.lower(): value for name, value in response["headers"].items()}.get("content-type", [""])
            is_stream = str(kinds[0]).startswith("text/event-stream")
            status = response["status"]["code"]
            found.append(Recorded(request["uri"], status, is_stream, _body(request), _body(response)))
    return found


def _body(message: dict[str, object]) -> bytes:
    if "parsed_body" in message:
        return json.dumps(message["parsed_body"]).encode()
    body = message.get("body")
    if isinstance(body, dict):
        body = body.get("string")
    return body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
