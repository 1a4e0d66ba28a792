"""Builders for requests of clients, and helpers for streams of providers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.snapshots import NO_SNAPSHOT, Snapshot
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey, candidate
from pointsman.providers.api import StreamDecoder
from pointsman.wire import PATHS
from pointsman.wire.paths import ParsedHead, PathTable

TABLE = PathTable(PATHS)
SECRET = "sk-very-secret-0123456789"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
PATH_OF = {
    "chat": "/chat/completions",
    "completion": "/completions",
    "embedding": "/embeddings",
    "responses": "/responses",
    "image": "/images/generations",
    "audio": "/audio/speech",
    "moderation": "/moderations",
    "rerank": "/rerank",
    "ocr": "/ocr",
    "file": "/files",
    "batch": "/batches",
    "other": "/vector_stores",
}


def parsed_head(
    path: str = "/chat/completions", method: str = "POST", snapshot: Snapshot = NO_SNAPSHOT, **fields: object
) -> ParsedHead:
    api = TABLE.find(method, path.partition("?")[0])
    values = {"content_type": "application/json", "dialect": api.dialect, **fields}
    if api.dialect == "gemini":  # whose paths name the model
        values = {"model": "m", **values}
    return ParsedHead(api, RequestHead(method=method, path=path, **values), snapshot)  # type: ignore[arg-type]


def parse(body: object, path: str = "/chat/completions", method: str = "POST", **fields: Any) -> Call:
    """Parse a body (bytes, or a value to encode) into a call. Raise `Rejection`."""
    head = parsed_head(path, method, **fields)
    assert head.api.parse is not None
    return head.api.parse(head, body if isinstance(body, bytes) else json.dumps(body).encode())


def rejected(call: Callable[[], object]) -> Failure:
    """Return the failure of the `Rejection` that `call` must raise."""
    with pytest.raises(Rejection) as caught:
        call()
    return caught.value.failure


def target(provider: str = "openai", model: str = "upstream-model", base_path: str = "/base") -> Candidate:
    key = ProviderKey("k1", Secret(SECRET))
    origin = Origin("https", "provider.test", 443)
    return candidate(
        Endpoint(
            name=provider,
            type=provider,
            origin=origin,
            base_path=base_path,
            keys=(key,),
            operations=frozenset(OPERATIONS),
        ),
        model,
    )


def drain(decoder: StreamDecoder, pieces: list[bytes]) -> bytes:
    """Feed a decoder as the engine does: up to its end or a failure, and then signal the provider's end."""
    out = b""
    for piece in pieces:
        out += decoder.feed(piece)
        if decoder.is_done or decoder.failure is not None:
            return out
    return out + decoder.close()


def halves(data: bytes) -> list[list[bytes]]:
    """Return `data` as a whole, as single bytes, and cut in two at every place."""
    cuts = [[data[:at], data[at:]] for at in range(1, len(data))]
    return [[data], [data[at : at + 1] for at in range(len(data))], *cuts]
