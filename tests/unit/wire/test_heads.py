"""Heads: the path, the key and the options of a request, and the rejection of unsafe ones."""

import hashlib
import time
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.clock import pace
from fakes.wire import PATH_OF, TABLE, parse, rejected, target
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.providers import PROVIDERS
from pointsman.wire.heads import dialect_at, has_open_names, names_read, read_credential, read_head
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
        x_pointsman_max_usd="0.01",
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
    assert (head.provider, head.timeout_s, head.max_nano, head.session, head.tags) == (
        "openai",
        1.5,
        10_000_000,
        "s",
        {"team": "red"},
    )
    assert parsed.head.forwarded == (("accept", "text/event-stream"),)


@pytest.mark.parametrize(
    "path", ["/", "", "/v1", "/v2/chat/completions", "/V1/models", "//v1/models", "/v1x/models", "*"]
)
def test_path_outside_v1_is_404(path: str) -> None:
    assert rejected(lambda: read(path)).kind.status == 404


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/chat", "/v1/chat/completions/", "/v1/modelsx", "/v1/responsesx/y"]
)
def test_unknown_path_is_404(path: str) -> None:
    assert rejected(lambda: read(path)).kind.code == "unknown_path"


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("POST", "responses"),
        ("POST", "batches"),
        ("POST", "rerank"),
        ("POST", "moderations"),
        ("POST", "messages"),
        ("POST", "embeddings"),
        ("POST", "feedback"),
        ("DELETE", "files"),
    ],
)
def test_action_of_a_model_reaches_no_path_of_another_dialect(method: str, action: str) -> None:
    failure = rejected(lambda: read(f"/genai/v1beta/models/x:{action}", method))
    assert failure.kind.code == "unknown_path"
    assert "/genai/" in failure.message


def test_model_of_gemini_with_a_colon_is_looked_up() -> None:
    parsed = read("/genai/v1beta/models/llama3:latest", "GET")
    assert (parsed.api.path, parsed.head.path, parsed.head.dialect) == ("/models", "/models/llama3:latest", "gemini")


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
    assert rejected(lambda: read(path, "GET")).kind.status == 400


def test_long_hostile_path_is_rejected_quickly() -> None:
    began = time.thread_time()
    for path in (
        "/v1/files/" + "a" * 60_000 + "!",
        "/v1/files" + "/a" * 30_000 + "//",
        "/v1/files/x?" + "a" * 60_000 + '"',
    ):
        assert rejected(lambda path=path: read(path, "GET")).kind.status == 400  # type: ignore[misc]
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
    failure = rejected(lambda: read("/v1/chat/completions", "GET"))
    assert failure.kind.status == 405
    assert "POST" in failure.message
    assert rejected(lambda: read("/v1/files/x", "TRACE")).kind.status == 405


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
    failure = rejected(lambda: read("/v1/models", "GET", x_pointsman_timeout_ms=value))
    assert (failure.kind.status, failure.param) == (400, "x-pointsman-timeout-ms")


def test_timeout_is_in_milliseconds() -> None:
    assert read("/v1/models", "GET", x_pointsman_timeout_ms="86400000").head.timeout_s == 86400
    assert read("/v1/models", "GET", x_pointsman_timeout_ms="1").head.timeout_s == 0.001


@pytest.mark.parametrize("name", ["x_pointsman_provider", "x_pointsman_session"])
@pytest.mark.parametrize("value", ["", "x" * 256, "\u00e9", "a\x7fb"])
def test_invalid_options_are_rejected(name: str, value: str) -> None:
    failure = rejected(lambda: read("/v1/models", "GET", **{name: value}))
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

    configuration = replace(NO_SNAPSHOT, read_headers=("x-tier",))
    for present in ((), names_read(configuration)):
        headers = Headers(dict.fromkeys((*present, b"cookie", b"x-request-id", b"host"), b"1"))
        if present:
            headers[b"content-encoding"] = b"gzip"
            headers[b"x-pointsman-require"] = b"region=eu"
        assert not has_open_names(headers)
        parsed = read_head("POST", "/v1/chat/completions", headers, TABLE, configuration)
        assert parsed.head.headers == ({"x-tier": "1"} if present else {})
    assert looked_at == set(names_read(configuration))
    assert has_open_names({b"host": b"h", b"x-pointsman-tag-a": b"1"})


def test_tags_are_bounded() -> None:
    many = {f"x_pointsman_tag_{number}": "v" for number in range(17)}
    assert rejected(lambda: read("/v1/models", "GET", **many)).kind.status == 400
    many.popitem()
    assert len(read("/v1/models", "GET", **many).head.tags) == 16
    assert rejected(lambda: read("/v1/models", "GET", x_pointsman_tag_a="x" * 256)).kind.status == 400
    assert rejected(lambda: read("/v1/models", "GET", x_pointsman_tag_="x")).kind.status == 400


@pytest.mark.parametrize("name", ["accept", "openai-beta", "idempotency-key", "range", "if-none-match", "content-type"])
@pytest.mark.parametrize("bad", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\x00b", "a\u00e9", "a\x1bb"])
def test_forwarded_header_cannot_inject_another(name: str, bad: str) -> None:
    headers = {name.encode(): bad.encode("latin-1")}
    failure = rejected(lambda: read_head("POST", "/v1/chat/completions", headers, TABLE, NO_SNAPSHOT))
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


# The dialects of Anthropic's and of coding agents' requests.


@pytest.mark.parametrize(
    ("address", "path", "dialect"),
    [
        ("/v1/messages", "/messages", "anthropic"),
        ("/v1/messages?beta=true", "/messages?beta=true", "anthropic"),
        ("/anthropic/v1/messages", "/messages", "anthropic"),
        ("/anthropic/v1/messages/count_tokens", "/messages/count_tokens", "anthropic"),
        ("/openai/v1/chat/completions", "/chat/completions", "openai"),
        ("/openai/chat/completions", "/chat/completions", "openai"),
        ("/openai/v1/responses", "/responses", "openai-responses"),
    ],
)
def test_base_addresses_of_clients_lead_to_the_same_paths(address: str, path: str, dialect: str) -> None:
    head = read(address).head
    assert (head.path, head.dialect) == (path, dialect)


@pytest.mark.parametrize("path", ["/anthropic/messages", "/anthropicx/v1/messages", "/openai/v2/responses", "/openai"])
def test_similar_base_address_is_404(path: str) -> None:
    assert rejected(lambda: read(path)).kind.status == 404


def test_all_headers_of_anthropic_go_upstream_in_its_dialect_only() -> None:
    headers = {
        "anthropic_version": "2023-06-01",
        "anthropic_beta": "a-2026-01-01,b-2026-02-02",
        "anthropic_later_addition": "x",
        "accept": "text/event-stream",
        "openai_beta": "y",
        "x_api_key": "k",
        "x_claude_code_session_id": "s",
    }
    assert read("/v1/messages", **headers).head.forwarded == (
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a-2026-01-01,b-2026-02-02"),
        ("anthropic-later-addition", "x"),
    )
    forwarded = dict(read("/v1/chat/completions", **headers).head.forwarded)
    assert not any(name.startswith("anthropic") for name in forwarded)


@pytest.mark.parametrize("bad", ["a\r\nx-evil: 1", "a\x00b", "a\u00e9"])
def test_header_of_anthropic_cannot_inject_another(bad: str) -> None:
    failure = rejected(lambda: read("/v1/messages", anthropic_later_addition=bad))
    assert (failure.kind.status, failure.param) == (400, "anthropic-later-addition")


def test_unknown_header_of_anthropic_is_an_open_name() -> None:
    assert has_open_names({b"anthropic-later-addition": b"x"})
    assert not has_open_names({b"anthropic-version": b"x", b"anthropic-beta": b"y", b"x-anthropic-z": b"z"})


@pytest.mark.parametrize(
    ("headers", "ids"),
    [
        (
            {
                "x_claude_code_session_id": "s",
                "x_claude_code_agent_id": "a",
                "x_claude_code_parent_agent_id": "p",
            },
            ("s", "a", "p"),
        ),
        ({"session-id": "codex"}, ("codex", None, None)),
        ({"conversation-id": "codex"}, (None, None, None)),
        ({"x_claude_code_session_id": "s", "x_pointsman_session": "ours"}, ("ours", None, None)),
        ({"x_claude_code_session_id": "", "x_claude_code_agent_id": "x" * 256}, (None, None, None)),
    ],
)
def test_ids_of_coding_agents_are_read(headers: dict[str, str], ids: tuple[str | None, ...]) -> None:
    head = read("/v1/messages", **headers).head
    assert (head.session, head.agent, head.parent_agent) == ids
    assert head.forwarded == ()


def test_session_of_codex_is_read() -> None:
    for name in (b"session_id", b"conversation_id"):
        head = read_head("POST", "/v1/responses", {name: b"codex"}, TABLE, NO_SNAPSHOT).head
        assert (head.session, head.forwarded) == ("codex", ())


def test_list_of_models_is_in_the_dialect_of_its_client() -> None:
    assert read("/v1/models", "GET").head.dialect == "openai"
    assert read("/v1/models?limit=1000", "GET", anthropic_version="2023-06-01").head.dialect == "anthropic"
    assert read("/anthropic/v1/models", "GET").head.dialect == "anthropic"
    assert read("/v1/chat/completions", anthropic_version="2023-06-01").head.dialect == "openai"


@pytest.mark.parametrize(
    ("address", "headers", "dialect"),
    [
        ("/v1/messages", {}, "anthropic"),
        ("/v1/messages?key=x", {}, "anthropic"),
        ("/v1/messages/batches", {}, "anthropic"),
        ("/openai/v1/messages/", {}, "anthropic"),
        ("/v1/threads/messages/x", {}, "openai"),
        ("/v1/nothing", {}, "openai"),
        ("/v1/nothing", {b"anthropic-version": b"2023-06-01"}, "anthropic"),
        ("/v1/models", {b"anthropic-version": b"2023-06-01"}, "anthropic"),
        ("/anthropic/v1/nothing", {}, "anthropic"),
        ("/v1/chat/completions", {b"anthropic-version": b"2023-06-01"}, "openai"),
        ("/v1/responses", {}, "openai-responses"),
    ],
)
def test_rejected_head_has_the_dialect_of_its_client(address: str, headers: dict[bytes, bytes], dialect: str) -> None:
    assert dialect_at(address, headers, TABLE) == dialect


@pytest.mark.parametrize(("value", "nano"), [("0", 0), ("1", 10**9), ("0.000000001", 1), ("12.5", 12_500_000_000)])
def test_ceiling_of_cost_is_read_exactly(value: str, nano: int) -> None:
    assert read("/v1/chat/completions", x_pointsman_max_usd=value).head.max_nano == nano
    assert b"x-pointsman-max-usd" in names_read(NO_SNAPSHOT)


@pytest.mark.parametrize("value", ["", "-1", "1e3", "$1", "nan", ".5", "0.0000000001", "1234567"])
def test_ceiling_of_cost_that_is_no_amount_is_rejected(value: str) -> None:
    failure = rejected(lambda: read("/v1/chat/completions", x_pointsman_max_usd=value))
    assert (failure.kind.status, failure.param) == (400, "x-pointsman-max-usd")
