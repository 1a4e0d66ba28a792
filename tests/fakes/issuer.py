"""An issuer of tokens: it signs them, and serves its metadata and its public keys over HTTP."""

import asyncio
import json
import time
import warnings
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.registry import JWS_HEADER_REGISTRY, HeaderParameter

AUDIENCE = "pointsman"
SigningKey = RSAKey | ECKey | OKPKey


def new_key(name: str, kind: str = "RSA") -> SigningKey:
    """Make a key with a name. Kinds are those of JSON Web Keys."""
    parameters: Any = {"kid": name, "use": "sig"}
    if kind == "EC":
        return ECKey.generate_key("P-256", parameters)
    return OKPKey.generate_key("Ed25519", parameters) if kind == "OKP" else RSAKey.generate_key(2048, parameters)


_ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


def key_set(*keys: SigningKey) -> str:
    """Return the public parts of some keys as a JSON Web Key Set."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def signed(key: Any, claims: dict[str, Any], **head: Any) -> str:
    """Sign claims. `head` adds fields of the head, or replaces them; `None` leaves one out."""
    fields = {"alg": _ALGORITHMS.get(key.key_type, "HS256"), "kid": key.kid, "typ": "JWT", **head}
    fields = {name: value for name, value in fields.items() if value is not None}
    registry = jws.JWSRegistry({**JWS_HEADER_REGISTRY, "jku": HeaderParameter("", "url")}, [fields["alg"]])
    registry.max_header_length = 64 * 1024
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(fields, json.dumps(claims), key, registry=registry)


def claims_of(issuer: str, subject: str = "job", **claims: Any) -> dict[str, Any]:
    """Return the claims of a token that is valid for an hour."""
    now = int(time.time())
    found = {"iss": issuer, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 3600, **claims}
    return {name: value for name, value in found.items() if value is not None}


def assembled(head: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """Return a token that no library would sign."""
    parts = [urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (head, claims)]
    text = b".".join(parts)
    return (text + b"." + urlsafe_b64encode(sign(text)).rstrip(b"=")).decode()


class Issuer:
    """A running issuer. `keys` are those it publishes, and the first one signs. `asked` are the paths of requests."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.keys = [new_key("first")]
        self.is_away = False
        self.asked: list[str] = []

    @property
    def keys_url(self) -> str:
        return f"{self.url}/keys"

    def token(self, subject: str = "job", *, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token for a subject. A claim of `None` is left out."""
        return signed(self.keys[0], claims_of(self.url, subject, **claims), **(head or {}))

    def answer(self, path: str) -> tuple[int, str]:
        self.asked.append(path)
        if self.is_away:
            return 503, "{}"
        if path == "/keys":
            return 200, key_set(*self.keys)
        return 200, json.dumps({"issuer": self.url, "jwks_uri": self.keys_url})


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """Run an issuer on a free port."""
    issuer: Issuer

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                status, body = issuer.answer(head.split(b" ")[1].decode())
                writer.write(f"HTTP/1.1 {status} .\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    issuer = Issuer(server.sockets[0].getsockname()[1])
    try:
        yield issuer
    finally:
        server.close()
