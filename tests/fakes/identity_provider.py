"""An identity provider: a real server of OpenID Connect, from a package, in a process of its own."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import httpx
from msgspec import Struct

from fakes.access import Credential
from fakes.clock import PATIENCE_S
from fakes.control import ControlPlane


class IdentityServer(Struct):
    """A running provider. Users are anybody; `set_user` gives them claims."""

    issuer: str

    def set_user(self, subject: str, **claims: object) -> None:
        self._send("PUT", f"/users/{subject}", claims)

    def revoke(self, subject: str) -> None:
        """End all tokens of a user."""
        self._send("POST", f"/users/{subject}/revoke-tokens", {})

    def _send(self, method: str, path: str, data: object) -> None:
        headers = {"content-type": "application/json"}
        request = Request(self.issuer + path, json.dumps(data).encode(), headers, method=method)
        urlopen(request, timeout=PATIENCE_S).close()


@contextmanager
def identity_server(*options: str) -> Iterator[IdentityServer]:
    """Run a provider on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server, end = IdentityServer(f"http://127.0.0.1:{port}"), time.monotonic() + PATIENCE_S
    try:
        while True:
            try:
                urlopen(f"{server.issuer}/.well-known/openid-configuration", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the identity provider has ended"
                assert time.monotonic() < end
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def sign_on_config(issuer: str, **fields: object) -> str:
    """Return the part of a configuration with this provider."""
    groups = {"platform": ["admin"], "research": ["team-admin@team:research"], "kings": ["nothing-yet"]}
    provider: dict[str, object] = {
        "issuer": issuer,
        "client_id": "console",
        "client_secret": "env.ME",
        "groups": groups,
    }
    provider = {**provider, "scopes": ["openid", "profile"], **fields}
    console = {"public_url": "http://127.0.0.1", "sign_on": {"company": provider}}
    return json.dumps({"console": console, "egress": {"allow_private": ["127.0.0.0/8"]}})[1:-1]


async def walk(plane: ControlPlane, subject: str, *, denies: bool = False) -> httpx.Response:
    """Log in at the provider as a browser does. Return the answer to the return of the browser."""
    begun = await plane.client.get("/api/v1/login/company")
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as browser:
        data = {"action": "deny"} if denies else {"sub": subject}
        answer = await browser.post(begun.headers["location"], data=data)
    assert answer.status_code == 302, answer.text
    back = await plane.client.get(answer.headers["location"].removeprefix("http://127.0.0.1"))
    plane.client.cookies.clear()
    return back


async def signed_on(plane: ControlPlane, subject: str) -> Credential:
    """Log in at the provider, and return the session."""
    back = await walk(plane, subject)
    assert back.status_code == 303, back.text
    cookies = [one.partition(";")[0] for one in back.headers.get_list("set-cookie")]
    headers = {"cookie": next(one for one in cookies if "session" in one)}
    me = (await plane.client.get("/api/v1/me", headers=headers)).json()
    return Credential(me["id"], {**headers, "x-pointsman-csrf": me["csrf"]})
