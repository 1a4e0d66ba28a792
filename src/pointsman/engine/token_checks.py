"""Checks of signed tokens: JSON Web Tokens in the compact form.

https://www.rfc-editor.org/rfc/rfc7519, with the advice of https://www.rfc-editor.org/rfc/rfc8725. The key comes from
the issuer's set alone: hints in the head of a token, such as `jku`, `x5u` and `jwk`, are never followed.
"""

import warnings
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key, RSAKey
from msgspec import Struct

from pointsman.domain.callers import Claims, TokenTrust

MAX_TOKEN = 16 * 1024  # bytes
MAX_KEYS = 100
MAX_NAME = 256
_LEAST_RSA_BITS = 2048
_BEGINNING = b"eyJ"  # of a JSON object in base64
_KIND = {"RS": ("RSA", ""), "PS": ("RSA", ""), "Ed": ("OKP", "Ed25519")}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
# The fields of public keys: https://www.rfc-editor.org/rfc/rfc7518#section-6
_PUBLIC = frozenset({"kty", "crv", "n", "e", "x", "y"})
_TYPES = frozenset({"", "jwt", "at+jwt"})  # others have another use, such as `logout+jwt`
_NAMES = {"Ed25519": "EdDSA"}  # the new name of this algorithm: https://www.rfc-editor.org/rfc/rfc9864


class TokenError(Exception):
    """A token is refused. The message has the reason, for the log."""


class UnknownSignerError(TokenError):
    """The token is signed by a key that is not in the set, which may be outdated."""


class SigningKey(Struct, frozen=True, eq=False):
    """A public key. `kind` is its type and curve, and `algorithm` is set if it is for one algorithm only."""

    name: str | None
    kind: tuple[str, str]
    algorithm: str | None
    key: Key


class _TokenHead(Struct):
    alg: str
    kid: str | None = None
    typ: str = ""


class TokenParts(Struct, frozen=True):
    """A token that is not verified. `issuer` is the one it names."""

    text: str
    head: _TokenHead
    issuer: str


class _Registry(jws.JWSRegistry):
    max_header_length = MAX_TOKEN  # some have certificates in it


class _Issuer(Struct):
    iss: str


def is_token(value: bytes) -> bool:
    """Return whether a presented key has the form of a token, signed or encrypted."""
    return value.startswith(_BEGINNING) and value.count(b".") >= 2


def read_parts(value: bytes) -> TokenParts:
    """Return the parts of a token. Raises `TokenError`."""
    if len(value) > MAX_TOKEN:
        raise TokenError(f"it has more than {MAX_TOKEN} bytes")
    parts = value.split(b".")
    if len(parts) != 3:
        raise TokenError("it is not a signed token in three parts")
    try:
        head = msgspec.json.decode(_decoded(parts[0]), type=_TokenHead)
        issuer = msgspec.json.decode(_decoded(parts[1]), type=_Issuer).iss
        return TokenParts(value.decode("ascii"), head, issuer)
    except (ValueError, RecursionError):
        raise TokenError("its parts are not base64 of JSON with alg and iss") from None


def verify(parts: TokenParts, trust: TokenTrust, keys: Sequence[SigningKey]) -> Claims:
    """Return the claims of a token whose signature is valid. Its audience and its times are not checked yet. Raises
    `TokenError`."""
    algorithm = _NAMES.get(parts.head.alg, parts.head.alg)
    if algorithm not in trust.algorithms:
        raise TokenError(f"its algorithm {parts.head.alg[:20]!r} is not one of {', '.join(trust.algorithms)}")
    if parts.head.typ.lower().removeprefix("application/") not in _TYPES:
        raise TokenError(f"its type {parts.head.typ[:40]!r} is for another use")
    key = _key(parts.head.kid, algorithm, keys)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA, which issuers still use
            registry = _Registry(algorithms=[parts.head.alg], strict_check_header=False)
            payload = jws.deserialize_compact(parts.text, key, registry=registry).payload
        claims = msgspec.json.decode(payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenError(f"it cannot be verified: {_reason(error)}") from None
    if not isinstance(claims, dict):
        raise TokenError("its claims are not an object")
    return claims


def check_claims(claims: Claims, trust: TokenTrust, now_unix_s: float) -> float:
    """Check the issuer, the audience and the times of verified claims. Return the time from which the token is refused,
    in Unix seconds. Raises `TokenError`."""
    if claims.get("iss") != trust.issuer:
        raise TokenError("it is from another issuer")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in trust.audiences for one in named):
        raise TokenError("it is for another audience")
    if "cnf" in claims:
        raise TokenError("it is bound to a key (cnf), which this gateway does not check")
    skew_s, expires_at = trust.clock_skew_s, _time(claims, "exp")
    if expires_at is None:
        raise TokenError("it has no expiry (exp)")
    if now_unix_s >= expires_at + skew_s:
        raise TokenError(f"it expired {now_unix_s - expires_at:.0f} s ago")
    for name in ("nbf", "iat"):
        begins_at = _time(claims, name)
        if begins_at is not None and now_unix_s < begins_at - skew_s:
            raise TokenError(f"it is not valid for another {begins_at - now_unix_s:.0f} s ({name})")
    return expires_at + skew_s


def read_keys(data: bytes) -> tuple[SigningKey, ...]:
    """Read a JSON Web Key Set. Keys that are no public keys for signatures are left out. Raises `ValueError`."""
    try:
        document = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError('is no JSON Web Key Set: it has no list "keys"')  # noqa: TRY004 -- of a file, not a call
    if len(listed) > MAX_KEYS:
        raise ValueError(f"has more than {MAX_KEYS} keys")
    found = [key for key in map(_read_key, listed) if key is not None]
    if not found:
        raise ValueError("has no usable public key")
    return tuple(found)


def _read_key(item: object) -> SigningKey | None:
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    kind, curve, name, algorithm = (item.get(field) for field in ("kty", "crv", "kid", "alg"))
    operations = item.get("key_ops", ["verify"])
    if kind not in ("RSA", "EC", "OKP") or not isinstance(operations, list) or "verify" not in operations:
        return None
    public = {field: value for field, value in item.items() if field in _PUBLIC}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of short keys, which are left out below
            key = JWKRegistry.import_key(public)
        if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return SigningKey(
        name if isinstance(name, str) else None,
        (str(kind), "" if kind == "RSA" else str(curve)),
        _NAMES.get(algorithm, algorithm) if isinstance(algorithm, str) else None,
        key,
    )


def _key(name: str | None, algorithm: str, keys: Sequence[SigningKey]) -> Key:
    """Return the key with the name in a token. A token without a name is accepted if only one key fits."""
    kind = _KIND.get(algorithm[:2]) or ("EC", _CURVES[algorithm])
    found = [
        one
        for one in keys
        if one.kind == kind and one.algorithm in (None, algorithm) and (name is None or one.name == name)
    ]
    if len(found) == 1:
        return found[0].key
    if name is None:
        raise TokenError(f"it names no key, and {len(found)} keys of its issuer fit")
    if found:
        raise TokenError(f"{len(found)} keys of its issuer have its key's name")
    raise UnknownSignerError(f"its issuer has no key {name[:MAX_NAME]!r} for {algorithm}")


def _decoded(part: bytes) -> bytes:
    return urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _time(claims: Mapping[str, object], name: str) -> float | None:
    found = claims.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found < 1e12:
        raise TokenError(f"its time {name} is no number of seconds")
    return float(found)


def _reason(error: Exception) -> str:
    described = getattr(error, "description", "") or getattr(error, "error", "")
    return str(described or type(error).__name__)[:200]
