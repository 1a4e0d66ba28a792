"""One login at an identity provider, from its start to the return of the browser.

The state of a login is in a cookie that only this process can read, so that it needs no memory for logins that nobody
finishes. It binds the answer to the browser that began the login.
"""

import asyncio
import hmac
import secrets
from typing import Any
from urllib.parse import urlencode

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.fernet import Fernet, InvalidToken
from msgspec import Struct

from pointsman.admin.sign_on.client import RefusedByProviderError, SignOnClient
from pointsman.admin.sign_on.identity import Identity, IdentityError, identity_of
from pointsman.control.inquiries.console import SignOnProvider

LOGIN_S = 600  # a login takes no longer than this


class BegunLogin(Struct, frozen=True):
    """The secrets of a login that has begun at a provider."""

    provider: str
    state: str
    nonce: str
    verifier: str


class ConfirmedUser(Struct, frozen=True):
    """A user whom the provider vouches for, with a token to ask it again; the token may be empty."""

    identity: Identity
    refresh: str


class SignOnFlow:
    """The logins at all identity providers."""

    def __init__(self) -> None:
        self._clients: dict[str, SignOnClient] = {}
        self._cipher = Fernet(Fernet.generate_key())
        self.checking: dict[str, asyncio.Lock] = {}  # sessions that are being checked
        self.tried: dict[str, float] = {}  # sessions whose check failed, with the time

    def client(self, provider: SignOnProvider) -> SignOnClient:
        """Return the client for a provider; a new one if its settings have changed."""
        known = self._clients.get(provider.name)
        if known is None or known.provider != provider:
            known = self._clients[provider.name] = SignOnClient(provider)
        return known

    async def begin(self, provider: SignOnProvider, redirect_uri: str, *, is_silent: bool = False) -> tuple[str, str]:
        """Return the address to send the browser to, and the content of the cookie. Raises `IdentityError`."""
        metadata = await self.client(provider).metadata()
        verifier = secrets.token_urlsafe(48)
        begun = BegunLogin(provider.name, secrets.token_urlsafe(32), secrets.token_urlsafe(32), verifier)
        more = {"prompt": "none"} if is_silent else {}
        url = prepare_grant_uri(
            metadata["authorization_endpoint"],
            provider.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=" ".join(provider.scopes),
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **more,
        )
        return str(url), self._cipher.encrypt(msgspec.json.encode(begun)).decode()

    async def finish(
        self, provider: SignOnProvider, redirect_uri: str, cookie: str | None, answer: dict[str, str]
    ) -> ConfirmedUser:
        """Return the user, from the query with which the browser came back. Raises `IdentityError`."""
        begun = self._read(cookie)
        same_state = hmac.compare_digest(begun.state.encode(), answer.get("state", "").encode())
        if begun.provider != provider.name or not same_state:
            raise IdentityError("this login was not begun in this browser; begin again")
        client = self.client(provider)
        metadata = await client.metadata()
        issuer = answer.get("iss")  # https://www.rfc-editor.org/rfc/rfc9207
        is_stated = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and is_stated) or issuer not in (None, provider.issuer):
            raise IdentityError("the answer is that of another identity provider; begin again")
        if "error" in answer or not answer.get("code"):
            raise RefusedByProviderError("the identity provider did not log you in; begin again")
        fields = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": redirect_uri}
        tokens = await client.tokens({**fields, "code_verifier": begun.verifier})
        return await self._confirmed(client, tokens, begun.nonce)

    async def again(self, provider: SignOnProvider, refresh: str, subject: str) -> ConfirmedUser:
        """Ask the provider again for a user. Raises `RefusedByProviderError` if it no longer vouches for it, and
        other `IdentityError` if it cannot be asked."""
        client = self.client(provider)
        tokens = await client.tokens({"grant_type": "refresh_token", "refresh_token": refresh})
        if "id_token" in tokens:
            confirmed = await self._confirmed(client, tokens, None)
        else:
            confirmed = ConfirmedUser(
                identity_of(await client.user_info(tokens), provider.groups_claim), _refresh(tokens)
            )
        if confirmed.identity.subject != subject:
            raise RefusedByProviderError("the identity provider answered for another user")
        return confirmed if confirmed.refresh else msgspec.structs.replace(confirmed, refresh=refresh)

    async def log_out_url(self, provider: SignOnProvider, back_to: str) -> str | None:
        """Return the address that ends the session at the provider, if it has one. Raises `IdentityError`."""
        endpoint = (await self.client(provider).metadata()).get("end_session_endpoint")
        if endpoint is None:
            return None
        mark = "&" if "?" in endpoint else "?"
        query = {"client_id": provider.client_id, "post_logout_redirect_uri": back_to}
        return f"{endpoint}{mark}{urlencode(query)}"

    @staticmethod
    async def _confirmed(client: SignOnClient, tokens: dict[str, Any], nonce: str | None) -> ConfirmedUser:
        claims = await client.claims(tokens, nonce)
        return ConfirmedUser(identity_of(claims, client.provider.groups_claim), _refresh(tokens))

    def _read(self, cookie: str | None) -> BegunLogin:
        try:
            content = self._cipher.decrypt((cookie or "").encode(), ttl=LOGIN_S)
            return msgspec.json.decode(content, type=BegunLogin)
        except (InvalidToken, msgspec.DecodeError):
            raise IdentityError("the login took too long, or was begun elsewhere; begin again") from None


def _refresh(tokens: dict[str, Any]) -> str:
    found = tokens.get("refresh_token")
    return found if isinstance(found, str) else ""
