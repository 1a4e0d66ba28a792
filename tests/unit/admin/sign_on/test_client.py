"""Requests to an identity provider that lies, changes its keys, or is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from msgspec.structs import replace

from integration.gateway import run
from pointsman.admin.sign_on import client as client_module
from pointsman.admin.sign_on.client import ProviderAwayError, RefusedByProviderError, SignOnClient
from pointsman.admin.sign_on.identity import IdentityError
from unit.admin.sign_on.test_identity import PROVIDER, claims

HEAD = {"alg": "RS256", "kid": "old"}
OLD, NEW = RSAKey.generate_key(2048, {"kid": "old"}), RSAKey.generate_key(2048, {"kid": "new"})


class Liar:
    """A server whose answers a test sets, by path. `seen` are its requests."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {}
        self.seen: list[tuple[str, str]] = []
        self.issuer = ""

    def metadata(self, **changed: object) -> dict[str, Any]:
        found: dict[str, object] = {"issuer": self.issuer}
        paths = {"authorization_endpoint": "/a", "token_endpoint": "/t", "jwks_uri": "/k", "userinfo_endpoint": "/u"}
        found |= {name: self.issuer + path for name, path in paths.items()}
        return {**found, **changed}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = [line for line in head.splitlines() if line.lower().startswith("content-length:")]
        body = await reader.readexactly(int(length[0].split(":")[1])) if length else b""
        path = head.split()[1]
        self.seen.append((path, head + body.decode()))
        status, value = self.answers.get(path, (404, {}))
        data = json.dumps(value).encode()
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(data)}\r\nlocation: /k\r\n\r\n".encode() + data)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def lying(**fields: Any) -> AsyncIterator[tuple[Liar, SignOnClient]]:
    liar = Liar()
    server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    liar.issuer = f"http://127.0.0.1:{port}"
    liar.answers["/.well-known/openid-configuration"] = 200, liar.metadata()
    fields = {"is_public_only": True, "allow_private": ("127.0.0.0/8",), **fields}
    provider = replace(PROVIDER, scheme="http", host="127.0.0.1", port=port, issuer=liar.issuer, **fields)
    async with server:
        yield liar, SignOnClient(provider)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://other.example"}, {"token_endpoint": "http://169.254.169.254/latest"}, {"jwks_uri": None},
        {"token_endpoint": "http://10.0.0.1/t"}, {"jwks_uri": "file:///etc/passwd"}, {"userinfo_endpoint": "nonsense"},
        {"authorization_endpoint": "javascript:alert(1)"}, {"end_session_endpoint": "https://a b"}, {"jwks_uri": 7},
        {"code_challenge_methods_supported": ["plain"]}, {"token_endpoint": "https://user:pw@idp.example/t"},
    ],
)  # fmt: skip
def test_unsafe_metadata_is_rejected(changed: dict[str, object]) -> None:
    async def main() -> None:
        async with lying() as (liar, client):
            liar.answers["/.well-known/openid-configuration"] = 200, liar.metadata(**changed)
            with pytest.raises(IdentityError):
                await client.metadata()

    run(main())


def test_announced_addresses_pass_the_guard_too() -> None:
    async def main() -> None:
        async with lying(allow_private=("127.0.0.1/32",)) as (liar, client):
            port = liar.issuer.rpartition(":")[2]
            document = liar.metadata(jwks_uri=f"http://127.0.0.2:{port}/k")
            liar.answers["/.well-known/openid-configuration"] = 200, document
            with pytest.raises(ProviderAwayError, match=r"egress\.allow_private"):
                await client.claims({"id_token": "a.b.c"}, "n")
        async with lying(allow_private=()) as (_, client):
            with pytest.raises(ProviderAwayError, match=r"egress\.allow_private"):
                await client.metadata()

    run(main())


def test_replaced_keys_are_read_again_but_not_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(client_module, "monotonic", lambda: now[0])

    async def main() -> None:
        async with lying() as (liar, client):

            def signed(key: RSAKey) -> dict[str, object]:
                return {
                    "id_token": jwt.encode({"alg": "RS256", "kid": key.kid}, claims(iss=liar.issuer, groups=[]), key)
                }

            liar.answers["/k"] = 200, {"keys": [OLD.as_dict(private=False)]}
            assert (await client.claims(signed(OLD), "n"))["sub"] == "s1"
            liar.answers["/k"] = 200, {"keys": [NEW.as_dict(private=False)]}
            for _ in range(5):
                with pytest.raises(IdentityError):
                    await client.claims(signed(NEW), "n")
            now[0] += client_module.REFETCH_S
            assert (await client.claims(signed(NEW), "n"))["sub"] == "s1"
            with pytest.raises(IdentityError):
                await client.claims(signed(OLD), "n")
            assert [path for path, _ in liar.seen].count("/k") == 2

    run(main())


def test_user_info_of_another_user_is_ignored() -> None:
    async def main() -> None:
        async with lying() as (liar, client):
            liar.answers["/k"] = 200, {"keys": [OLD.as_dict(private=False)]}
            token = jwt.encode(HEAD, claims(iss=liar.issuer), OLD)
            answer = {"id_token": token, "access_token": "access"}
            for subject, groups in (("s1", ["platform"]), ("s2", None)):
                liar.answers["/u"] = 200, {"sub": subject, "groups": ["platform"], "iss": "https://evil.example"}
                found = await client.claims(answer, "n")
                assert found.get("groups") == groups
                assert found["iss"] == liar.issuer
            liar.answers["/u"] = 200, {"sub": "s1", "name": "Sam", "groups": ["other"]}
            own = {**answer, "id_token": jwt.encode(HEAD, claims(iss=liar.issuer, groups=["a"]), OLD)}
            assert (await client.claims(own, "n"))["name"] == "Sam"
            assert (await client.claims(own, "n"))["groups"] == ["a"], "the id token comes first"
            liar.answers["/u"] = 503, {}
            assert (await client.claims(own, "n"))["groups"] == ["a"]
            with pytest.raises(ProviderAwayError):
                await client.claims(answer, "n")
            assert await client.user_info({"access_token": "a\r\nx: y"}) == {}

    run(main())


def test_secret_is_sent_as_the_provider_wants_it_and_refusals_are_told_apart() -> None:
    async def main() -> None:
        async with lying(client_secret="p@ss:word") as (liar, client):
            liar.answers["/t"] = 200, {"access_token": "x"}
            await client.tokens({"grant_type": "authorization_code", "code": "c&d"})
            assert "authorization: Basic Y29uc29sZTpwJTQwc3MlM0F3b3Jk" in liar.seen[-1][1]
            assert liar.seen[-1][1].endswith("grant_type=authorization_code&code=c%26d")
            for status, value, kind, message in (
                (400, {"error": "invalid_grant", "error_description": "<b>"}, RefusedByProviderError, "invalid_grant"),
                (400, {"error": "<script>"}, RefusedByProviderError, "gave no reason"),
                (302, {}, ProviderAwayError, "status 302"),
                (429, {}, ProviderAwayError, "status 429"),
                (500, {}, ProviderAwayError, "status 500"),
                (200, [], ProviderAwayError, "no usable JSON"),
            ):
                liar.answers["/t"] = status, value
                with pytest.raises(kind, match=message):
                    await client.tokens({"code": "c"})
        for secret, expected in (("", "client_id=console"), ("s", "client_id=console&client_secret=s")):
            async with lying(client_secret=secret) as (liar, client):
                document = liar.metadata(token_endpoint_auth_methods_supported=["client_secret_post"])
                liar.answers |= {"/.well-known/openid-configuration": (200, document), "/t": (200, {"a": 1})}
                await client.tokens({})
                assert liar.seen[-1][1].endswith(expected)

    run(main())
