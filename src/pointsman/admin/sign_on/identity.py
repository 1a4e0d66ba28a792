"""The identity in the tokens of an identity provider, and the roles of its groups."""

from collections.abc import Iterable, Mapping
from time import time
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from msgspec import Struct

from pointsman.control.inquiries.console import SignOnProvider
from pointsman.domain.permissions import OWNER
from pointsman.domain.rights import RoleGrant

# Neither `none`, nor a secret that both sides know.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
LEEWAY_S = 60
MAX_TOKEN = 64 * 1024  # characters
MAX_GROUPS = 10_000
NAMES = ("name", "preferred_username", "email", "sub")


class IdentityError(Exception):
    """The identity provider's answer cannot be trusted. The message has the reason, and no token."""


class UnknownSigningKeyError(IdentityError):
    """The token is signed by a key that is not in the set: the set may be outdated."""


class Identity(Struct, frozen=True):
    """A user whom the identity provider vouches for. `name` is only shown."""

    subject: str
    name: str
    groups: tuple[str, ...]

    def grants(self, provider: SignOnProvider) -> tuple[RoleGrant, ...]:
        """Return the roles of the groups, each once."""
        found = set(provider.default_roles)
        for group in self.groups:
            found.update(provider.groups.get(group, ()))
        return tuple(sorted(one for one in found if one.role != OWNER))


def read_keys(document: object) -> KeySet:
    """Read a set of public keys. Those of unknown kinds are left out. Raises `IdentityError`."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise IdentityError("the key set of the identity provider is none")
    found: list[Key] = []
    for one in listed[:100]:
        if not isinstance(one, dict) or one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig":
            continue
        try:
            found.append(JWKRegistry.import_key(one))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(found)


def verified(
    token: object, keys: KeySet, provider: SignOnProvider, *, nonce: str | None, access_token: str | None
) -> Mapping[str, Any]:
    """Return the claims of an id token. Without a `nonce`, it comes from a refresh token. Raises `IdentityError`."""
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise IdentityError("the identity provider sent no id token")
    try:
        decoded = jwt.decode(token, lambda one: _key(one.headers().get("kid"), keys), algorithms=list(ALGORITHMS))
        options: Any = {
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
            "exp": {"essential": True},
            "iat": {"essential": True},
            "sub": {"essential": True},
        }
        if nonce is not None:
            options["nonce"] = {"essential": True, "value": nonce}
        parameters = {"nonce": nonce, "client_id": provider.client_id, "access_token": access_token}
        claims = CodeIDToken(decoded.claims, decoded.header, options, parameters)
        claims.validate(now=int(time()), leeway=LEEWAY_S)
        return dict(claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise IdentityError(f"the id token is invalid: {_reason(error)}") from None


def identity_of(claims: Mapping[str, Any], groups_claim: str) -> Identity:
    """Return the identity in the claims of an id token or of the user info. Raises `IdentityError`."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise IdentityError("the identity provider sent no subject")
    shown = next(
        (claims[name] for name in NAMES if isinstance(claims.get(name), str) and claims[name].strip()), subject
    )
    name = "".join(character for character in shown if character.isprintable()).strip()[:200]
    return Identity(subject, name or subject[:200], _groups(claims, groups_claim))


def _groups(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found: Any = claims.get(name)
    if found is None and "." in name:  # a path, such as realm_access.roles
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    listed: Iterable[Any] = [found] if isinstance(found, str) else found if isinstance(found, list) else ()
    return tuple(one for one in list(listed)[:MAX_GROUPS] if isinstance(one, str))


def _key(name: object, keys: KeySet) -> Key:
    """Return the key with the name that a token has. Other hints in its head, such as `jku` and `jwk`, are never
    followed."""
    if name is None and len(keys.keys) == 1:
        return keys.keys[0]
    found = [key for key in keys.keys if key.kid == name]
    if name is None or len(found) != 1:
        raise UnknownSigningKeyError("the id token is signed by an unknown key")
    return found[0]


def _reason(error: Exception) -> str:
    description = getattr(error, "description", "") or getattr(error, "error", "")
    return str(description or type(error).__name__)[:200]
