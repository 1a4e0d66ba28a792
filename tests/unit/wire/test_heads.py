"""Heads: the path, the key and the options of a request, and the rejection of unsafe ones."""

import hashlib
import time
from typing import Any

import pytest

from fakes.clock import pace
from fakes.wire import PATH_OF, TABLE, parse, refused, target
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.providers import PROVIDERS
from pointsman.wire.heads import has_tags, names_read, read_credential, read_head
from pointsman.wire.paths import ParsedHead

KEYS = NO_SNAPSHOT.key_headers


def read(target: str, method: str = "POST", **headers: str) -> ParsedHead:
    named = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    return read_head(method, target, named, TABLE, NO_SNAPSHOT)


def test_all_parts_of_head_are_read() -> None:
    parsed = read(
        "/v1/chat/completions?beta=true",
        authorization="Bearer k",
        content_type="application/json",
        accept="text/event-stream",
        cookie="secret=1",
        x_request_id="theirs",
        x_pointsman_provider="openai",
        x_pointsman_timeout_ms="1500",
        x_pointsman_session="s",
        x_pointsman_tag_team="red",
    )
    assert parsed.api.operation == "chat"
    assert (parsed.head.path, parsed.head.method, parsed.head.content_type) == (
        "/chat/completions?beta=true",
        "POST",
        "application/json",
    )
    assert parsed.credential == hashlib.sha256(b"k").digest()
    head = parsed.head
    assert (head.provider, head.timeout_s, head.session, head.tags) == (
        "openai",
        1.5,
        "s",
        {"team": "red"},
    )
    assert parsed.head.forwarded == (("accept", "text/event-stream"),)


@pytest.mark.parametrize(
    "path", ["/", "", "/v1", "/v2/chat/completions", "/V1/models", "//v1/models", "/v1x/models", "*"]
)
def test_path_outside_v1_is_404(path: str) -> None:
    assert refused(lambda: read(path)).kind.status == 404


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/chat", "/v1/chat/completions/", "/v1/modelsx", "/v1/responsesx/y"]
)
def test_unknown_path_is_404(path: str) -> None:
    assert refused(lambda: read(path)).kind.code == "unknown_path"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../chat/completions",
        "/v1/files/..",
        "/v1/files/./x",
        "/v1/files//x",
        "/v1/files/%2e%2e/x",
        "/v1/files/a%2Fb",
        "/v1/files/a\\b",
        "/v1/files/a b",
        "/v1/files/a\r\nHost: evil",
        "/v1/files/a\tb",
        "/v1/files/\u00e9",
        "/v1/files/a#b",
        "/v1/files/a;b",
        "/v1/files/x?a=\r\nb",
        "/v1/files/x?a=b c",
        '/v1/files/x?a="b"',
        "/v1/files/x?a=#b",
        "/v1/files/x\x00",
        "/v1/models/%2e%2e/%2e%2e/admin",
        "/v1/models/a%0d%0ab",
        "/v1/models/a%20b",
    ],
)
def test_unsafe_path_is_rejected(path: str) -> None:
    assert refused(lambda: read(path, "GET")).kind.status == 400


def test_long_hostile_path_is_rejected_quickly() -> None:
    began = time.thread_time()
    for path in (
        "/v1/files/" + "a" * 60_000 + "!",
        "/v1/files" + "/a" * 30_000 + "//",
        "/v1/files/x?" + "a" * 60_000 + '"',
    ):
        assert refused(lambda path=path: read(path, "GET")).kind.status == 400  # type: ignore[misc]
    assert time.thread_time() - began < 0.1 * pace()


@pytest.mark.parametrize(
    ("escaped", "path"),
    [
        ("b%2Fmeta%2Fllama", "/models/b/meta/llama"),
        ("a/b", "/models/a/b"),
        ("x%3Afree", "/models/x:free"),
        ("a@b~c.d", "/models/a@b~c.d"),
    ],
)
def test_model_names_may_hold_plain_or_escaped_slashes(escaped: str, path: str) -> None:
    assert read("/v1/models/" + escaped, "GET").head.path == path


def test_methods_are_checked() -> None:
    failure = refused(lambda: read("/v1/chat/completions", "GET"))
    assert failure.kind.status == 405
    assert "POST" in failure.message
    assert refused(lambda: read("/v1/files/x", "TRACE")).kind.status == 405


def test_first_credential_in_order_counts() -> None:
    def hashed(value: bytes) -> bytes:
        return hashlib.sha256(value).digest()

    headers = {b"x-api-key": b"two", b"authorization": b"bEaReR  one ", b"x-goog-api-key": b"three"}
    assert read_credential(headers, KEYS) == hashed(b"one")
    assert read_credential(headers, ("x-goog-api-key", "authorization")) == hashed(b"three")
    assert read_credential({b"authorization": b"Bearer ", b"x-api-key": b"two"}, KEYS) == hashed(b"two")
    assert read_credential({b"authorization": b"bare"}, KEYS) == hashed(b"bare")
    assert read_credential({b"authorization": b"Basic eA=="}, KEYS) != hashed(b"eA==")
    assert read_credential({b"x-api-key": b""}, KEYS) is None
    assert read_credential({}, KEYS) is None


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "abc", "", " 5", "86400001", "9" * 5000, "\u00b2", "1e3"])
def test_invalid_timeout_is_rejected(value: str) -> None:
    failure = refused(lambda: read("/v1/models", "GET", x_pointsman_timeout_ms=value))
    assert (failure.kind.status, failure.param) == (400, "x-pointsman-timeout-ms")


def test_timeout_is_in_milliseconds() -> None:
    assert read("/v1/models", "GET", x_pointsman_timeout_ms="86400000").head.timeout_s == 86400
    assert read("/v1/models", "GET", x_pointsman_timeout_ms="1").head.timeout_s == 0.001


@pytest.mark.parametrize("name", ["x_pointsman_provider", "x_pointsman_session"])
@pytest.mark.parametrize("value", ["", "x" * 256, "\u00e9", "a\x7fb"])
def test_invalid_options_are_rejected(name: str, value: str) -> None:
    failure = refused(lambda: read("/v1/models", "GET", **{name: value}))
    assert (failure.kind.status, failure.param) == (400, name.replace("_", "-"))


def test_heads_equal_in_read_headers_give_equal_results() -> None:
    looked_at: set[bytes] = set()

    class Headers(dict[bytes, bytes]):
        def get(self, key: bytes, default: Any = None) -> Any:
            looked_at.add(key)
            return super().get(key, default)

        def __getitem__(self, key: bytes) -> bytes:
            looked_at.add(key)
            return super().__getitem__(key)

        def __contains__(self, key: object) -> bool:
            assert isinstance(key, bytes)
            looked_at.add(key)
            return super().__contains__(key)

    for present in ((), names_read(KEYS)):
        headers = Headers(dict.fromkeys((*present, b"cookie", b"x-request-id", b"host"), b"1"))
        if present:
            headers[b"content-encoding"] = b"gzip"
        assert not has_tags(headers)
        read_head("POST", "/v1/chat/completions", headers, TABLE, NO_SNAPSHOT)
    assert looked_at == set(names_read(KEYS))
    assert has_tags({b"host": b"h", b"x-pointsman-tag-a": b"1"})


def test_tags_are_bounded() -> None:
    many = {f"x_pointsman_tag_{number}": "v" for number in range(17)}
    assert refused(lambda: read("/v1/models", "GET", **many)).kind.status == 400
    many.popitem()
    assert len(read("/v1/models", "GET", **many).head.tags) == 16
    assert refused(lambda: read("/v1/models", "GET", x_pointsman_tag_a="x" * 256)).kind.status == 400
    assert refused(lambda: read("/v1/models", "GET", x_pointsman_tag_="x")).kind.status == 400


@pytest.mark.parametrize("name", ["accept", "openai-beta", "idempotency-key", "range", "if-none-match", "content-type"])
@pytest.mark.parametrize("bad", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\x00b", "a\u00e9", "a\x1bb"])
def test_forwarded_header_cannot_inject_another(name: str, bad: str) -> None:
    headers = {name.encode(): bad.encode("latin-1")}
    failure = refused(lambda: read_head("POST", "/v1/chat/completions", headers, TABLE, NO_SNAPSHOT))
    assert (failure.kind.status, failure.param) == (400, name)


def test_only_listed_headers_go_upstream() -> None:
    headers = dict.fromkeys(
        ("accept", "range", "authorization", "cookie", "host", "x_forwarded_for", "user_agent"), "v"
    )
    parsed = read("/v1/files", "POST", **headers)
    call = parse({"a": 1}, PATH_OF["file"], forwarded=parsed.head.forwarded)
    candidate = target()
    lines = PROVIDERS["openai"].codecs[call.operation].encode(call, candidate, candidate.keys[0], "id-1").headers
    names = {line.partition(b":")[0] for line in lines.split(b"\r\n") if line}
    ours = {b"user-agent", b"content-type", b"authorization", b"x-client-request-id"}
    assert names == ours | {b"accept", b"range"}
