"""Public test data stored beside the repository. Tests that use it are skipped if it is missing."""

import json
from functools import lru_cache
from pathlib import Path

import pytest
import yaml
from msgspec import Struct

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


class Recorded(Struct, frozen=True):
    """One recorded exchange. `request` and `body` are whole bodies, empty if there was none. `file` is the recording's
    name; `sent` and `received` are the headers of the request and of the answer, by names in lower case."""

    uri: str
    status: int
    is_stream: bool
    request: bytes
    body: bytes
    file: str = ""
    method: str = "POST"
    sent: dict[str, str] = {}
    received: dict[str, str] = {}


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
    assert found, f"there is no recording of {uri_part}"
    return found


@lru_cache(maxsize=1)
def _recordings() -> list[Recorded]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[Recorded] = []
    folder = SHARED / "recordings" / "pydantic-ai"
    for path in sorted(folder.rglob("*.yaml")):
        if path.name.endswith(".xai.yaml"):  # gRPC
            continue
        with path.open(encoding="utf-8") as file:
            document = yaml.load(file, loader)
        for item in document["interactions"]:
            request, response = item["request"], item["response"]
            received = _headers(response)
            found.append(
                Recorded(
                    uri=request["uri"],
                    status=response["status"]["code"],
                    is_stream=received.get("content-type", "").startswith("text/event-stream"),
                    request=_body(request),
                    body=_body(response),
                    file=path.relative_to(folder).as_posix(),
                    method=request["method"],
                    sent=_headers(request),
                    received=received,
                )
            )
    return found


def _headers(message: dict[str, dict[str, object]]) -> dict[str, str]:
    """Return the headers of a message. A recorded value is a text, or a list of them."""
    found = {}
    for name, value in message["headers"].items():
        found[name.lower()] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found


def _body(message: dict[str, object]) -> bytes:
    if "parsed_body" in message:
        return json.dumps(message["parsed_body"]).encode()
    body = message.get("body")
    if isinstance(body, dict):
        body = body.get("string")
    return body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
