"""The requests to an identity provider: its metadata, its keys, and its tokens.

All addresses come from the identity provider itself, so each passes the guard of its network: public ones, and those in
`egress.allow_private`. Redirects are not followed. Metadata and keys are kept for an hour. An unknown key makes the set
of keys be read again, but not more often than every half a minute.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

from joserfc.jwk import KeySet
from msgspec.structs import replace

from pointsman.admin.delivery import DeliveryError, RecipientClient
from pointsman.admin.sign_on.identity import NAMES, IdentityError, UnknownSigningKeyError, read_keys, verified
from pointsman.control.inquiries.console import SignOnProvider
from pointsman.domain.network import is_loopback
from pointsman.domain.urls import split_url, target_of

KEPT_S = 3600.0
REFETCH_S = 30.0
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint")
_FORM = b"content-type: application/x-www-form-urlencoded\r\n"
_JSON = b"accept: application/json\r\n"


class RefusedByProviderError(IdentityError):
    """The identity provider does not vouch for the user, or no longer."""


class ProviderAwayError(IdentityError):
    """The identity provider cannot be reached, or failed."""


class SignOnClient:
    """Sends requests to one identity provider."""

    def __init__(self, provider: SignOnProvider) -> None:
        self.provider = provider
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def metadata(self) -> dict[str, Any]:
        """Return the metadata, with addresses that are safe to use. Raises `IdentityError`."""
        known = self._metadata
        if known is not None and monotonic() - known[0] < KEPT_S:
            return known[1]
        found = await self._get(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.provider.issuer:
            raise IdentityError("the identity provider states another issuer than the configuration")
        for name in _ENDPOINTS:
            self._check(name, found.get(name), is_required=name in _ENDPOINTS[:3])
        methods = found.get("code_challenge_methods_supported")
        if isinstance(methods, list) and "S256" not in methods:
            raise IdentityError("the identity provider does not support PKCE with S256")
        self._metadata = monotonic(), found
        return found

    async def tokens(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Exchange a code or a refresh token for tokens. Raises `IdentityError`."""
        metadata, provider = await self.metadata(), self.provider
        form, lines = dict(fields), _FORM + _JSON
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not provider.client_secret:
            form["client_id"] = provider.client_id
        elif "client_secret_basic" in methods:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
            lines += b"authorization: Basic " + b64encode(pair.encode()) + b"\r\n"
        else:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        status, found = await self._send(b"POST", metadata["token_endpoint"], lines, urlencode(form).encode())
        if 400 <= status < 500 and status != 429:
            raise RefusedByProviderError(f"the identity provider refused: {_code(found)}")
        return _whole(status, found)

    async def claims(self, answer: Mapping[str, Any], nonce: str | None) -> Mapping[str, Any]:
        """Return the verified claims of an answer with tokens. If its id token has no groups or no name, those of the
        user info are added. Raises `IdentityError`."""
        access_token = answer.get("access_token")
        access = access_token if isinstance(access_token, str) and access_token.isascii() else None
        token = answer.get("id_token")
        try:
            claims = verified(token, await self._key_set(), self.provider, nonce=nonce, access_token=access)
        except UnknownSigningKeyError:
            claims = verified(token, await self._key_set(is_new=True), self.provider, nonce=nonce, access_token=access)
        name = self.provider.groups_claim
        has_groups = name in claims or name.partition(".")[0] in claims
        if has_groups and any(one in claims for one in NAMES[:-1]):
            return claims
        try:
            info = await self.user_info(answer)
        except ProviderAwayError:
            if not has_groups:
                raise
            return claims
        is_same = info.get("sub") == claims.get("sub")
        return {**info, **claims} if is_same else claims

    async def user_info(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims of the user whom an access token is for; none if the provider does not offer them. Raises
        `IdentityError`."""
        url, access = (await self.metadata()).get("userinfo_endpoint"), answer.get("access_token")
        if url is None or not isinstance(access, str) or not access.isascii() or not access.isprintable():
            return {}
        lines = _JSON + f"authorization: Bearer {access}\r\n".encode("ascii")
        status, info = await self._send(b"GET", url, lines, b"")
        if status >= 500 or status == 429:
            raise ProviderAwayError(f"the identity provider answered with status {status}")
        return info if status == 200 else {}

    async def _key_set(self, *, is_new: bool = False) -> KeySet:
        known, now = self._keys, monotonic()
        if known is not None and now - known[0] < (REFETCH_S if is_new else KEPT_S):
            return known[1]
        keys = read_keys(await self._get((await self.metadata())["jwks_uri"]))
        self._keys = now, keys
        return keys

    async def _get(self, url: str) -> dict[str, Any]:
        return _whole(*await self._send(b"GET", url, _JSON, b""))

    async def _send(self, method: bytes, url: str, lines: bytes, body: bytes) -> tuple[int, dict[str, Any]]:
        origin, target = split_url(url)
        server = replace(self.provider, scheme=origin.scheme, host=origin.host, port=origin.port)
        client = RecipientClient(server)
        try:
            answer = await client.send(method, target_of(target), lines, body)
        except DeliveryError as error:
            raise ProviderAwayError(f"the identity provider cannot be reached: {error}") from None
        finally:
            await client.close()
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        return answer.status, found if isinstance(found, dict) else {}

    def _check(self, name: str, url: object, *, is_required: bool) -> None:
        """Raise `IdentityError` for an address that is no HTTPS one. Providers of the same machine may use HTTP."""
        if url is None and not is_required:
            return
        is_plain = isinstance(url, str) and url.isascii() and url.isprintable() and not {" ", "#"} & set(url)
        try:
            origin, _ = split_url(str(url) if is_plain else "")
        except ValueError:
            raise IdentityError(f"the {name} of the identity provider is no address") from None
        if origin.scheme != "https" and not (is_loopback(self.provider.host) and is_loopback(origin.host)):
            raise IdentityError(f"the {name} of the identity provider must begin with https://")


def _whole(status: int, found: dict[str, Any]) -> dict[str, Any]:
    if status != 200 or not found:
        raise ProviderAwayError(f"the identity provider answered with status {status} and no usable JSON")
    return found


def _code(found: Mapping[str, Any]) -> str:
    """Return the code of an error, if it is one."""
    code = found.get("error")
    is_code = isinstance(code, str) and code.isascii() and code.replace("_", "").isalnum() and len(code) < 64
    return str(code) if is_code else "it gave no reason"
