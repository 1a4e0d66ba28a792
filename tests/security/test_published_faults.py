"""Replays of published faults of other gateways against this one, over real sockets: none may succeed."""

import base64
import gzip
import pickle
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.gateway import ADMIN_TOKEN
from security.scene import ADMIN, CLIENT_KEY, PASSWORD, PROVIDER_KEY, Scene, attacked, trap

REJECTED = (400, 401, 403, 404, 405, 421, 422)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with attacked() as found:
        yield found


def test_scene_serves_who_may_be_served(scene: Scene) -> None:
    """The attacks below prove nothing if nobody is served."""
    assert scene.chat().status == 200
    assert scene.admin("keys").status == 200


# Who calls


def test_sql_in_the_key(scene: Scene) -> None:
    """SQL injection before authentication: CVE-2026-42208 of LiteLLM."""
    for text in ("' OR '1'='1", "' OR 1=1 --", "x'; DROP TABLE api_keys; --", '" OR ""="', "x' UNION SELECT 1 --"):
        for header in ("authorization", "x-api-key", "x-goog-api-key"):
            value = f"Bearer {text}" if header == "authorization" else text
            sent = {"authorization": "", header: value}
            assert scene.chat(sent).status == 401, text
        assert scene.admin("keys", headers={"authorization": f"Bearer {text}"}).status == 401
        assert scene.admin("keys", headers={"authorization": f"Bearer pm-service-{text}"}).status == 401
        assert scene.admin("users", headers={"cookie": f"pointsman-session=pm-session-{text}"}).status == 401
    assert scene.admin("keys").status == 200, "the table is still there"


def test_sql_in_filters(scene: Scene) -> None:
    """SQL injection by parameters of lists: the class of CVE-2026-42208."""
    scene.key("sql-victim")
    for text in ("%27%20OR%201=1--", "%27;DROP%20TABLE%20api_keys;--", "%22%20OR%201=1"):
        assert scene.admin(f"keys?q={text}").json["keys"] == []
        assert scene.admin(f"keys?hint={text}").json["keys"] == []
        assert scene.admin(f"users?name={text}").json == []
    assert [one["name"] for one in scene.admin("keys?q=sql-victim").json["keys"]] == ["sql-victim"]


def test_error_about_a_key_tells_nothing(scene: Scene) -> None:
    """A 401 that names the database, its table and the digest of the key: BerriAI/litellm#39757."""
    from hashlib import sha256

    reply = scene.chat({"authorization": "Bearer pm-a-wrong-key"})
    assert reply.status == 401
    told = reply.body.lower()
    assert not [word for word in ("sqlite", "postgres", "table", "select", "traceback", "api_keys") if word in told]
    assert sha256(b"pm-a-wrong-key").hexdigest() not in told
    assert "pm-a-wrong-key" not in told


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1/?x=", "127.0.0.1#@evil.example", "127.0.0.1/healthz?", "evil.example", "127.0.0.1\\@evil", "", "a b"],
)
def test_host_changes_no_decision(scene: Scene, host: str) -> None:
    """A Host that moves the path which is checked: CVE-2026-49468 of LiteLLM, CVE-2026-48710 of Starlette."""
    for target in ("/api/v1/keys", "/api/v1/users", "/api/v1/config/export"):
        assert scene.ask(scene.console, target, headers={"host": host}).status in REJECTED
    reply = scene.ask(scene.gateway.port, "/v1/models", headers={"host": host})
    assert reply.status in REJECTED, "no key was presented"


def test_name_of_an_attacker_is_no_name_of_the_console(scene: Scene) -> None:
    """DNS rebinding: CVE-2026-77822 of ContextForge, CVE-2025-66416 of the MCP SDK."""
    reply = scene.ask(scene.console, "/api/v1/keys", headers={**ADMIN, "host": "rebound.evil.example"})
    assert reply.status in (400, 403, 421)


def test_prefix_of_an_open_route_opens_no_other(scene: Scene) -> None:
    """Routes that are open by prefix: `/api/dev*` of Bifrost 2.0, and public routes of LiteLLM."""
    for target in (
        "/healthz/../api/v1/keys",
        "/healthz/%2e%2e/api/v1/keys",
        "/healthz%2f..%2fapi%2fv1%2fkeys",
        "//api/v1/keys",
        "/api/v1/login/../keys",
        "/api/v1/login%2f..%2fkeys",
        "/api/v1/keys;/healthz",
        "/api/v1/keys?/healthz",
        "/%61pi/v1/keys",
        "/api/v1/keys%00/healthz",
        "/API/V1/KEYS",
        "/api/dev/keys",
        "http://127.0.0.1/api/v1/keys",
    ):
        assert scene.ask(scene.console, target).status in REJECTED, target


def test_no_route_is_open_by_accident(scene: Scene) -> None:
    """A route without a check: CVE-2026-35029, CVE-2026-12795 of LiteLLM, Portkey-AI/gateway#1718."""
    document = scene.admin("openapi.json").json
    opened = []
    for path, methods in document["paths"].items():
        for method in methods:
            target = path.replace("{", "").replace("}", "")
            reply = scene.ask(scene.console, target, method.upper(), {} if method != "get" else None)
            if reply.status not in (401, 403):
                opened.append(path)
    assert len(document["paths"]) > 50
    assert set(opened) <= {"/api/v1/login", "/api/v1/login/{provider}", "/api/v1/login/{provider}/callback"}, opened


def test_no_page_for_developers_is_served(scene: Scene) -> None:
    """Routes for debugging in production: CVE-2026-12771, CVE-2026-12796 of LiteLLM, GHSA-w98g-5w9p-p3rc of Bifrost."""
    for port in (scene.console, scene.gateway.port):
        for target in ("/docs", "/redoc", "/openapi.json", "/debug", "/sso/debug/login", "/api/dev", "/debug/pprof/"):
            assert scene.ask(port, target).status in REJECTED, target


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer null", "Bearer undefined", "Bearer sk-1234", "Basic Og=="]
)
def test_absent_credential_opens_nothing(scene: Scene, value: str) -> None:
    """An admin without a credential, or with the default one: GHSA-vj9g-7rqh-x2p4 of Bifrost, CVE-2026-78573."""
    assert scene.admin("keys", headers={"authorization": value}).status == 401
    assert scene.chat({"authorization": value}).status == 401


def test_beginning_of_a_credential_is_not_the_credential(scene: Scene) -> None:
    """A cache by the first characters of a token: CVE-2026-35030 of LiteLLM."""
    robot = scene.token("prefix", "viewer")["authorization"]
    assert scene.admin("usage", headers={"authorization": robot}).status == 200
    for end in (robot[:-1], robot[:30], robot + "x", robot[:-4] + "AAAA"):
        assert scene.admin("usage", headers={"authorization": end}).status == 401
    assert scene.chat().status == 200
    for end in (CLIENT_KEY[:-1], CLIENT_KEY + "x", CLIENT_KEY[:20] + "x" * 15, CLIENT_KEY.upper()):
        assert scene.chat({"authorization": f"Bearer {end}"}).status == 401
    assert scene.admin("keys", headers={"authorization": f"Bearer {ADMIN_TOKEN[:-1]}"}).status == 401


def test_hash_of_a_password_is_no_password(scene: Scene) -> None:
    """Hashes that the API shows and accepts: GHSA-69x8-hrgq-fjj8 of LiteLLM."""
    made = scene.admin("users", "POST", {"name": "hash-victim", "password": PASSWORD})
    assert made.status == 201
    with sqlite3.connect(f"file:{scene.folder}/data/pointsman.db?mode=ro", uri=True) as database:
        (hashed,) = database.execute("SELECT password FROM users WHERE name = 'hash-victim'").fetchone()
    assert hashed.startswith("$argon2id$")
    listed = scene.admin("users").body
    assert "argon2" not in listed + made.body
    login = scene.ask(scene.console, "/api/v1/login", "POST", {"name": "hash-victim", "password": hashed})
    assert login.status == 401


def test_session_ends_with_the_logout(scene: Scene) -> None:
    """Sessions that are never revoked: CVE-2026-12796 of LiteLLM. A change from another page: no CSRF token."""
    scene.admin("users", "POST", {"name": "session-victim", "password": PASSWORD})
    body = {"name": "session-victim", "password": PASSWORD}
    login = scene.ask(scene.console, "/api/v1/login", "POST", body)
    assert login.status == 200, login.body
    cookie = {"cookie": login.headers["set-cookie"].partition(";")[0]}
    assert scene.admin("me", headers=cookie).status == 200
    assert scene.admin("logout", "POST", {}, cookie).status == 403, "another page has no token"
    assert scene.admin("logout", "POST", {}, {**cookie, "x-pointsman-csrf": login.json["csrf"]}).status == 200
    assert scene.admin("me", headers=cookie).status == 401


# What callers may do


def test_caller_cannot_give_itself_a_role(scene: Scene) -> None:
    """Mass assignment of one's own role: CVE-2026-47102 of LiteLLM."""
    member = scene.token("riser", "member@team:research")
    for path, method, body in (
        ("me", "PATCH", {"roles": [{"role": "owner"}]}),
        ("me/password", "POST", {"old": "x", "new": "y", "roles": [{"role": "owner"}]}),
        ("users", "POST", {"name": "x", "roles": [{"role": "owner"}]}),
        ("tokens", "POST", {"name": "x", "roles": [{"role": "owner"}], "days": 1}),
        ("roles/member", "PUT", {"permissions": ["config:write"]}),
        ("me/keys", "POST", {"settings": {"team": "other"}}),
    ):
        assert scene.admin(path, method, body, member).status in REJECTED, path
    assert "config:write" not in scene.admin("me", headers=member).json["permissions"]


@pytest.mark.parametrize("field", ["allowed_routes", "user_role", "issuer", "id", "is_admin", "digest", "created_by"])
def test_field_of_the_server_is_not_taken(scene: Scene, field: str) -> None:
    """Fields stored as they are sent: CVE-2026-47101 of LiteLLM."""
    key = {"name": f"mass-{field}", field: "x"}
    assert scene.admin("keys", "POST", key).status == 422
    assert scene.admin("keys", "POST", {"name": f"mass-{field}", "settings": {field: "x"}}).status == 422
    assert scene.admin("users", "POST", {"name": "mass", field: "x"}).status == 422
    assert scene.admin("teams", "POST", {"name": "mass", "spec": {field: "x"}}).status == 422


def test_nobody_grants_more_than_they_hold(scene: Scene) -> None:
    """A delegated admin who makes a higher one: CVE-2026-105986 of Kong."""
    admin = scene.token("delegate", "admin")
    grant = [{"role": "owner", "scope": "*"}]
    assert scene.admin("tokens", "POST", {"name": "higher", "roles": grant, "days": 1}, admin).status == 403
    assert scene.admin("users", "POST", {"name": "higher", "roles": grant}, admin).status == 403
    assert scene.admin("roles/higher", "PUT", {"permissions": ["owners:write"]}, admin).status in (403, 422)


def test_object_of_another_team_does_not_exist(scene: Scene) -> None:
    """Objects by their name without a check of the owner: OWASP API1 2023, CVE-2026-12773 of LiteLLM."""
    scene.key("idor-victim", team="other")
    admin = scene.token("neighbour", "team-admin@team:research")
    for method, path, body in (
        ("GET", "keys/idor-victim", None),
        ("PATCH", "keys/idor-victim", {"note": "mine"}),
        ("POST", "keys/idor-victim/rotate", {}),
        ("DELETE", "keys/idor-victim", None),
        ("GET", "teams/other", None),
    ):
        assert scene.admin(path, method, body, admin).status == 404, path
    moved = scene.admin("keys", "POST", {"name": "alien", "settings": {"team": "other"}}, admin)
    assert moved.status == 403
    assert scene.admin("keys/idor-victim").json["note"] is None


# Where the gateway connects to


@pytest.mark.parametrize(
    "fields",
    [
        {"api_base": "http://127.0.0.1:{port}"},
        {"base_url": "http://127.0.0.1:{port}"},
        {"user_config": {"model_list": [{"litellm_params": {"api_base": "http://127.0.0.1:{port}"}}]}},
        {"api_key": "x", "custom_llm_provider": "openai", "api_base": "http://127.0.0.1:{port}"},
        {"model": "http://127.0.0.1:{port}/sim-1"},
        {"model": "up/../../x", "api_base": "http://127.0.0.1:{port}"},
    ],
)
def test_body_of_a_client_sets_no_address(scene: Scene, fields: dict[str, Any]) -> None:
    """An address of the client's choice gets the provider's key: CVE-2024-6587, PYSEC-2026-4070 of LiteLLM."""
    with trap() as (port, arrived):
        scene.chat(**_with_port(fields, port))
        assert arrived == []


@pytest.mark.parametrize(
    "header",
    [
        "x-portkey-custom-host",
        "x-upstream-base-url",
        "x-base-url",
        "x-forwarded-host",
        "x-original-url",
        "x-target-url",
    ],
)
def test_header_of_a_client_sets_no_address(scene: Scene, header: str) -> None:
    """SSRF by a header: CVE-2025-66405 of Portkey."""
    with trap() as (port, arrived):
        scene.chat({header: f"http://127.0.0.1:{port}/v1"})
        assert arrived == []


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest", "http://127.0.0.1:1/v1", "http://127.1/v1", "http://2130706433/v1",
        "http://0x7f.0.0.1/v1", "http://0.0.0.0/v1", "http://[::1]/v1", "http://[::ffff:169.254.169.254]/v1",
        "http://[::ffff:a9fe:a9fe]/v1", "http://100.64.0.1/v1", "http://[2002:7f00:1::]/v1",
        "http://[64:ff9b::7f00:1]/v1", "http://[fec0::1]/v1", "http://10.0.0.1/v1", "http://192.168.1.1/v1",
        "http://metadata.google.internal/v1", "http://localhost/v1", "file:///etc/passwd", "gopher://127.0.0.1/v1",
        "http://user@127.0.0.1/v1",
    ],
)  # fmt: skip
def test_provider_by_api_is_at_a_public_address(scene: Scene, address: str) -> None:
    """Private addresses, in all their spellings: GHSA-vj9g-7rqh-x2p4, GHSA-w98g-5w9p-p3rc of Bifrost, GO-2026-5652 of
    new-api, GHSA-w5r7 of LibreChat, CVE-2026-45400 of Open WebUI."""
    spec = {"type": "openai-compatible", "base_url": address, "keys": {"a": "sk-x"}}
    reply = scene.admin("providers", "POST", {"name": "ssrf", "spec": spec})
    if reply.status == 201:  # some spellings are names, which are checked when they are resolved
        body = {"model": "ssrf/x", "messages": [{"role": "user", "content": "hi"}]}
        served = scene.ask(
            scene.gateway.port, "/v1/chat/completions", "POST", body, {"authorization": f"Bearer {CLIENT_KEY}"}
        )
        assert served.status >= 400
        assert scene.admin("providers/ssrf", "DELETE").status == 200
    else:
        assert reply.status == 422, reply.body


def test_media_of_a_client_are_not_fetched_from_private_addresses(scene: Scene) -> None:
    """SSRF by the address of an image: GHSA-w98g-5w9p-p3rc of Bifrost, CVE-2026-12798 of LiteLLM."""
    with trap() as (port, arrived):
        parts = [{"type": "image_url", "image_url": {"url": f"http://127.0.0.1:{port}/x.png"}}]
        scene.chat(messages=[{"role": "user", "content": parts}])
        body = {
            "model": "chat",
            "max_tokens": 5,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "url", "url": f"http://127.0.0.1:{port}/x.png"}}],
                }
            ],
        }
        headers = {"x-api-key": CLIENT_KEY, "anthropic-version": "2023-06-01"}
        scene.ask(scene.gateway.port, "/v1/messages", "POST", body, headers)
        assert arrived == []


# Headers


def test_header_of_a_client_replaces_no_credential(scene: Scene) -> None:
    """A client's header overrides the provider's credential, or the gateway's own reaches the provider:
    CVE-2026-110279 of ContextForge, BerriAI/litellm#32202."""
    sent = {
        "x-upstream-authorization": "Bearer evil", "api-key": "evil", "cookie": "session=of-the-client",
        "x-forwarded-for": "10.0.0.1", "proxy-authorization": "Basic evil", "x-stainless-helper": "evil-lang",
    }  # fmt: skip
    before = len(scene.received)
    assert scene.chat(sent).status == 200
    request = scene.received[before:][-1]
    assert request.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    values = " ".join(value.decode("latin-1") for _, value in request.raw_headers)
    assert CLIENT_KEY not in values
    assert "evil" not in values
    assert "of-the-client" not in values


def test_no_header_is_split(scene: Scene) -> None:
    """CR and LF in a value become another header: the class of CVE-2026-34525 of aiohttp."""
    for target in ("/v1/models%0d%0ax-injected:%20yes", "/v1/models?x=%0d%0ax-injected:%20yes"):
        for port in (scene.gateway.port, scene.console):
            assert "x-injected" not in scene.ask(port, target).headers
    before = len(scene.received)
    reply = scene.chat(user="x\r\nx-injected: yes", metadata={"x": "a\r\nx-injected: yes"})
    assert "x-injected" not in reply.headers
    assert not [one for one in scene.received[before:] if "x-injected" in one.headers]
    spec = {"type": "openai-compatible", "base_url": "https://example.com/v1", "keys": {"a": "sk-x\r\nx-injected: yes"}}
    assert scene.admin("providers", "POST", {"name": "split", "spec": spec}).status == 422


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 4\r\ntransfer-encoding: chunked\r\n", b"content-length: 4\r\ncontent-length: 5\r\n",
        b"transfer-encoding: chunked, identity\r\n", b"transfer-encoding : chunked\r\n", b"content-length: +4\r\n",
        b"host: evil.example\r\ncontent-length: 4\r\n",
    ],
)  # fmt: skip
def test_request_has_one_end(scene: Scene, head: bytes) -> None:
    """Two readings of one request: CVE-2025-69229 and CVE-2026-34525 of aiohttp, and Pingora's smuggling."""
    key = f"authorization: Bearer {CLIENT_KEY}\r\n".encode()
    smuggled = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    for port in (scene.gateway.port, scene.console):
        data = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n" + key + head + b"\r\n"
        reply = scene.send(port, data + smuggled)
        assert reply.status in (*REJECTED, 411, 413, 501), reply
        assert "HTTP/1.1 200" not in reply.body


# Secrets


def test_no_answer_has_a_secret(scene: Scene) -> None:
    """Keys in errors, settings and lists: CVE-2024-9606, BerriAI/litellm#8075, #15799, #6963, #2114, #5762."""
    told = [
        scene.admin(path).body for path in ("status", "config/export", "providers", "keys?managed_by=file", "models")
    ]
    told += [scene.ask(scene.console, "/metrics", headers=ADMIN).body]
    faulty: tuple[dict[str, Any], ...] = (
        {"model": "up/none"},
        {"model": "nothing"},
        {"messages": "x"},
        {"temperature": "hot"},
    )
    for fields in faulty:
        told.append(scene.chat(**fields).body)
    told.append(scene.chat({"x-pointsman-provider": "none"}).body)
    for secret in (PROVIDER_KEY, CLIENT_KEY, ADMIN_TOKEN):
        assert secret not in "".join(told)
        assert secret not in scene.stored()


@pytest.mark.parametrize("text", ["env.UP_KEY", "env.POINTSMAN_ADMIN_TOKEN", "file:/etc/passwd", "file:pointsman.json"])
def test_caller_reads_nothing_of_the_server(scene: Scene, text: str) -> None:
    """A reference or a path in a resource reads the server's files: CVE-2026-35029 of LiteLLM."""
    spec = {"type": "openai-compatible", "base_url": "https://example.com/v1", "keys": {"a": text}}
    assert scene.admin("providers", "POST", {"name": "reader", "spec": spec}).status == 422
    spec = {**spec, "keys": {"a": "sk-x"}, "egress": {"ca_file": "/etc/passwd"}}
    assert scene.admin("providers", "POST", {"name": "reader", "spec": spec}).status == 422
    assert scene.admin("config/apply", "POST", {"document": {"providers": {"reader": text}}}).status == 422


@pytest.mark.parametrize(
    "target",
    [
        "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/console.js/../../app.py",
        "/....//....//etc/passwd", "/static/..\\..\\etc\\passwd", "/etc/passwd%00.js", "//etc/passwd",
        "/api/v1/login/..%2f..%2f..%2fetc%2fpasswd",
    ],
)  # fmt: skip
def test_path_leads_to_no_file(scene: Scene, target: str) -> None:
    """Paths out of the folder of pages: CVE-2026-77825 of ContextForge."""
    for port in (scene.console, scene.gateway.port):
        reply = scene.ask(port, target)
        assert reply.status in REJECTED, reply.body[:200]
        assert "root:" not in reply.body
    names = ("../x", "..", "a/b", "/etc/passwd", "..%2fx")
    assert all(scene.admin("teams", "POST", {"name": name, "spec": {}}).status == 422 for name in names)


# Code


def test_text_is_no_template(scene: Scene) -> None:
    """Templates of users are evaluated: CVE-2026-42203, CVE-2026-37004 of LiteLLM."""
    texts = ("{{7*191}}", "${7*191}", "<%= 7*191 %>", "{% for x in [1] %}{{7*191}}{% endfor %}", "#{7*191}")
    for number, text in enumerate(texts):
        made = scene.admin("keys", "POST", {"name": f"template-{number}", "note": text})
        assert made.json["note"] == text
        assert "1337" not in scene.chat(messages=[{"role": "system", "content": text}]).body
        assert "1337" not in scene.chat(model=text).body
    assert scene.admin("prompts/test", "POST", {"template": texts[0]}).status in REJECTED


@pytest.mark.parametrize(
    "when",
    [
        '__import__("os").system("touch {file}") == 0', "().__class__.__bases__[0].__subclasses__()",
        'open("{file}", "w")', 'eval("1")', "headers.__class__", 'exec("raise SystemExit")', "lambda: 1",
    ],
)  # fmt: skip
def test_condition_is_no_program(scene: Scene, tmp_path: Path, when: str) -> None:
    """Python in a rule leaves its sandbox: CVE-2026-40217 of LiteLLM, CVE-2026-53710 of ContextForge, CVE-2026-55244 of
    asteval."""
    file = tmp_path / "touched"
    rule = {"when": when.replace("{file}", str(file)), "model": "chat"}
    assert scene.admin("rules", "POST", {"name": "program", "spec": rule}).status == 422
    assert not file.exists()


def test_no_endpoint_starts_a_program(scene: Scene, tmp_path: Path) -> None:
    """A test endpoint runs a command of the body: CVE-2026-42271, CVE-2026-30623 of LiteLLM."""
    file = tmp_path / "touched"
    body = {"command": "touch", "args": [str(file)], "env": {}, "transport": "stdio"}
    for path in ("/mcp-rest/test/connection", "/mcp-rest/test/tools/list", "/v1/mcp/server", "/api/v1/tools/test"):
        for port in (scene.console, scene.gateway.port):
            for headers in (ADMIN, {"authorization": f"Bearer {CLIENT_KEY}"}):
                assert scene.ask(port, path, "POST", body, headers).status in REJECTED, path
    spec = {"type": "openai-compatible", "base_url": "https://example.com/v1", **body}
    assert scene.admin("providers", "POST", {"name": "program", "spec": spec}).status == 422
    assert not file.exists()


def test_bytes_are_no_objects(scene: Scene, tmp_path: Path) -> None:
    """Pickles and tags of YAML that make objects: the class of CVE-2025-27516, and PYSEC-2026-1542 of LiteLLM."""
    file = tmp_path / "touched"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (file,)

    data = pickle.dumps(Payload())
    for port, target, headers in (
        (scene.gateway.port, "/v1/chat/completions", {"authorization": f"Bearer {CLIENT_KEY}"}),
        (scene.console, "/api/v1/config/apply", ADMIN),
    ):
        for kind in ("application/json", "application/python-pickle", "application/x-yaml"):
            sent = {**headers, "content-type": kind}
            assert scene.ask(port, target, "POST", data, sent).status in (*REJECTED, 415)
            tag = f"!!python/object/apply:os.system ['touch {file}']".encode()
            assert scene.ask(port, target, "POST", tag, sent).status in (*REJECTED, 415)
    cookie = f"pointsman-session={base64.b64encode(data).decode()}"
    assert scene.admin("me", headers={"cookie": cookie}).status == 401
    assert not file.exists()


# Resources of the server


def test_search_text_is_no_pattern(scene: Scene) -> None:
    """Wildcards of a search make the database work: CVE-2026-25591 of new-api."""
    scene.key("like-victim")
    for text in ("%25%25%25", "%25", "_", "l_ke-victim"):
        found = scene.admin(f"keys?q={text}")
        assert (found.status, found.json["keys"]) == (200, [])


def test_small_body_stays_small(scene: Scene) -> None:
    """A body that grows when it is read: CVE-2026-22815 of aiohttp and the like, OWASP API4 2023."""
    bomb = gzip.compress(b'{"model": "chat", "messages": "' + b"x" * 200_000_000 + b'"}', 9)
    key = {"authorization": f"Bearer {CLIENT_KEY}", "content-encoding": "gzip"}
    assert scene.ask(scene.gateway.port, "/v1/chat/completions", "POST", bomb, key).status in (400, 413, 415)
    deep = b'{"model": "chat", "messages": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    for port, target, headers in (
        (scene.gateway.port, "/v1/chat/completions", {"authorization": f"Bearer {CLIENT_KEY}"}),
        (scene.console, "/api/v1/teams", ADMIN),
    ):
        assert scene.ask(port, target, "POST", deep, headers).status in (400, 413, 422)
    assert scene.chat().status == 200
    assert scene.admin("keys").status == 200


def test_forged_proof_of_payment_or_webhook_opens_nothing(scene: Scene) -> None:
    """An empty secret makes each signature valid: the forged top-up of new-api."""
    for path in ("/api/stripe/webhook", "/webhook", "/api/v1/webhooks", "/api/user/topup"):
        for port in (scene.console, scene.gateway.port):
            assert scene.ask(port, path, "POST", {"amount": 1}, {"stripe-signature": "t=1,v1="}).status in REJECTED


def _with_port(value: Any, port: int) -> Any:
    if isinstance(value, dict):
        return {name: _with_port(one, port) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_port(one, port) for one in value]
    return value.replace("{port}", str(port)) if isinstance(value, str) else value
