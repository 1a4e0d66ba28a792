"""Admits callers who present a signed token or a client certificate instead of a virtual key.

A verified token is kept until it expires, so that a request with it costs one look-up. The reason for a refusal is
logged, and the client does not learn it.
"""

import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from time import monotonic, time

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.callers import CallerError, CallerIdentity, Claims
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import NO_SNAPSHOT, Snapshot
from pointsman.engine.certificates import CertificateError, read_certificate
from pointsman.engine.key_sets import KeySets
from pointsman.engine.token_checks import TokenError, UnknownSignerError, check_claims, is_token, read_parts, verify
from pointsman.routing.admit import NO_VALID_KEY
from pointsman.routing.caller_conditions import conditions_of

MAX_KEPT = 4096  # tokens, and certificates
LOG_EVERY_S = 1.0  # at most one refusal is logged in this time

_AWAY = Failure(
    failures.IDENTITY_UNAVAILABLE,
    "the identity of this caller cannot be checked now, since the keys of its issuer cannot be read; retry later",
    retry_after_s=1.0,
)
_logger = logging.getLogger(__name__)


class _KeysMissingError(Exception):
    """The keys of the issuer of a token are missing."""


class Callers:
    """The admitted callers of the present snapshot. `clock` is in Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self.key_sets = KeySets()
        self._clock = clock
        self._snapshot = NO_SNAPSHOT
        self._kept: dict[bytes, VirtualKey] = {}
        self._logged_at = -LOG_EVERY_S
        self._left_out = 0

    def swap(self, snapshot: Snapshot) -> None:
        """Put a new configuration in force."""
        self.key_sets.swap([one.trust.source for one in snapshot.identities if one.trust is not None])
        self.forget()

    def forget(self) -> None:
        """Verify every token anew: keys of an issuer may have gone."""
        self._kept.clear()

    def of_token(self, token: bytes, digest: bytes, snapshot: Snapshot) -> VirtualKey | Failure | None:
        """Return the caller of a token with this SHA-256, or the reason that the client gets. Return `None` if it is no
        token."""
        found = self._find(digest, snapshot)
        if found is not None or not is_token(token):
            return found
        try:
            return self._keep(digest, self._verified(token, digest, snapshot))
        except TokenError as error:
            return self.refuse(f"the token with the SHA-256 {digest.hex()[:8]}… is refused: {error}")
        except _KeysMissingError:
            return _AWAY

    def of_certificate(self, data: bytes, snapshot: Snapshot) -> VirtualKey | Failure:
        """Return the caller of a client certificate that the connection has verified, or the reason that the client
        gets."""
        digest = sha256(data).digest()
        found = self._find(digest, snapshot)
        if found is not None:
            return found
        key: VirtualKey | None = None
        expires_at = 0.0
        try:
            claims, expires_at = read_certificate(data)
            identities = [one for one in snapshot.identities if one.trust is None]
            key, reasons = self._first(identities, claims, snapshot)
        except CertificateError as error:
            reasons = [str(error)]
        if key is None:
            reason = "; ".join(reasons)
            return self.refuse(f"the client certificate with the SHA-256 {digest.hex()[:8]}… is refused: {reason}")
        return self._keep(digest, replace(key, digest=digest, expires_at=expires_at))

    def refuse(self, message: str) -> Failure:
        """Log a refusal, unless another one was logged just now. Return what the client gets."""
        now = monotonic()
        if now - self._logged_at < LOG_EVERY_S:
            self._left_out += 1
        else:
            more = f" ({self._left_out} more refusals were not logged)" if self._left_out else ""
            self._logged_at, self._left_out = now, 0
            _logger.warning("%s%s", message, more)
        return NO_VALID_KEY

    def _verified(self, token: bytes, digest: bytes, snapshot: Snapshot) -> VirtualKey:
        """Return the caller of a token. Raises `TokenError` and `_KeysMissingError`."""
        parts, now = read_parts(token), self._clock()
        reasons: list[str] = []
        is_missing = False
        for identity in snapshot.identities:
            trust = identity.trust
            if trust is None or trust.issuer != parts.issuer:
                continue
            keys = self.key_sets.find(trust.source)
            if keys is None:
                is_missing = True
                continue
            try:
                claims = verify(parts, trust, keys)
                expires_at = check_claims(claims, trust, now)
            except TokenError as error:
                if isinstance(error, UnknownSignerError):
                    self.key_sets.doubt(trust.source)
                reasons.append(f"{identity.name}: {error}")
                continue
            key, problems = self._first([identity], claims, snapshot)
            if key is not None:
                return replace(key, digest=digest, expires_at=expires_at)
            reasons += problems
        if is_missing:
            raise _KeysMissingError
        raise TokenError("; ".join(reasons) or f"no identity has its issuer {parts.issuer[:200]!r}")

    @staticmethod
    def _first(
        identities: Sequence[CallerIdentity], claims: Claims, snapshot: Snapshot
    ) -> tuple[VirtualKey | None, list[str]]:
        """Return the caller by the first identity that admits these claims, or the reasons that there is none."""
        reasons = []
        for identity in identities:
            if not conditions_of(snapshot)[identity.name](claims):
                reasons.append(f"{identity.name}: its condition is not true")
                continue
            try:
                return identity.caller(claims), []
            except CallerError as error:
                reasons.append(f"{identity.name}: {error}")
        return None, reasons or ["there is no identity for it"]

    def _find(self, digest: bytes, snapshot: Snapshot) -> VirtualKey | None:
        if self._snapshot is not snapshot:
            self._kept.clear()
            self._snapshot = snapshot
        found = self._kept.get(digest)
        if found is None or (found.expires_at is not None and found.expires_at <= self._clock()):
            return None
        return found

    def _keep(self, digest: bytes, key: VirtualKey) -> VirtualKey:
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = key
        return key
