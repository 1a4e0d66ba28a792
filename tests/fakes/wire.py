"""Builders for bodies of clients and for streams of providers."""

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
    "file": "/files",
    "batch": "/batches",
    "other": "/vector_stores",
}


def asked(
    path: str = "/chat/completions", method: str = "POST", snapshot: Snapshot = NO_SNAPSHOT, **more: object
) -> ParsedHead:
    api = TABLE.find(method, path.partition("?")[0])
    given = {"content_type": "application/json", **more}
    return ParsedHead(api, RequestHead(method=method, path=path, **given), snapshot)  # type: ignore[arg-type]


def parse(body: object, path: str = "/chat/completions", method: str = "POST", **more: Any) -> Call:
    """Parse a body (bytes, or a value to encode) into a call. Raise `Rejection`."""
    what = asked(path, method, **more)
    assert what.api.parse is not None
    return what.api.parse(what, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(act: Callable[[], object]) -> Failure:
    """Return the failure of the `Rejection` that `act` must raise."""
    with pytest.raises(Rejection) as caught:
        act()
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
    """Feed a decoder like the engine: up to its end or a failure, then signal the provider's end."""
    out = b""
    for piece in pieces:
        out += decoder.feed(piece)
        if decoder.is_done or decoder.failure is not None:
            return out
    return out + decoder.close()


def halves(data: bytes) -> list[list[bytes]]:
    """Yield every way to cut `data` in two, the whole, and single bytes."""
    cuts = [[data[:at], data[at:]] for at in range(1, len(data))]
    return [[data], [data[at : at + 1] for at in range(len(data))], *cuts]
