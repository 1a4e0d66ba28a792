"""Admission of the credential of a request: a virtual key, a token, or the certificate of its connection."""

import logging
from time import monotonic, time

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import KeysUnavailableError, KeyTable, VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.callers import Callers
from pointsman.engine.live import Live
from pointsman.routing.admit import NO_VALID_KEY, Admission, admit, check_network, check_time, pause_of
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import Head
from pointsman.wire.callers import client_address
from pointsman.wire.heads import presented

_logger = logging.getLogger(__name__)


class CredentialCheck:
    """Admits credentials, and checks at each request what may have changed since."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.callers = Callers()

    def admit(self, head: Head, credential: bytes | None, snapshot: Snapshot) -> Admission | None:
        """Admit the credential of a head, its SHA-256. Return `None` if the certificate of the connection decides.
        Raises `Rejection`."""
        admission: Admission | Failure
        try:
            admission = admit(credential, snapshot)
        except KeysUnavailableError as error:
            _logger.error("virtual keys made by API cannot be looked up: %s", error)  # noqa: TRY400
            admission = _UNREADABLE
        if snapshot.identities and (isinstance(admission, Failure) or admission.virtual_key is None):
            if credential is None and any(one.trust is None for one in snapshot.identities):
                return None
            token = presented(head.headers, snapshot.key_headers)
            if credential is not None and token is not None:
                caller = self.callers.of_token(token, credential, snapshot)
                if isinstance(caller, Failure):
                    raise Rejection(_presented(caller, credential))
                admission = Admission(caller) if caller is not None else admission
        if not isinstance(admission, Failure):
            return admission
        if admission is _UNREADABLE:
            raise Rejection(admission)
        # Control may have created the key since the connection was lost, unless it is known to be revoked.
        is_unsure = self._live.is_cut_off and not _is_revoked(credential, snapshot)
        raise Rejection(_CUT_OFF if is_unsure else _presented(admission, credential))

    def of_certificate(self, exchange: Exchange, snapshot: Snapshot) -> VirtualKey | None:
        """Return the caller with the certificate of a connection. Return `None` if it needs none. Raises
        `Rejection`."""
        certificate = exchange.certificate
        if certificate is None:
            if not snapshot.require_key:
                return None
            raise Rejection(NO_VALID_KEY)
        key = self.callers.of_certificate(certificate, snapshot)
        if isinstance(key, Failure):
            raise Rejection(key)
        return key

    def check_age(self) -> None:
        """Raise `Rejection` if the configuration is too old to be trusted."""
        if self._live.is_stale:
            raise Rejection(_STALE)

    def check(self, key: VirtualKey, exchange: Exchange, snapshot: Snapshot) -> None:
        """Raise `Rejection` if a key has expired or is paused, or may not be used from the client's address."""
        failure = check_time(key, time())
        if failure is not None and key.is_caller:
            failure = self.callers.refuse(f"the token or certificate of {key.name} has expired")
        if failure is None and key.networks:
            forwarded_for = exchange.head.headers.get(b"x-forwarded-for")
            failure = check_network(key, client_address(exchange.peer, forwarded_for, snapshot.access))
        if failure is None and self._live.paused:
            failure = pause_of(key, self._live.paused, monotonic())
        if failure is not None:
            raise Rejection(failure)


def _is_revoked(credential: bytes | None, snapshot: Snapshot) -> bool:
    keys = snapshot.virtual_keys
    try:
        return credential is not None and isinstance(keys, KeyTable) and keys.is_revoked(credential)
    except KeysUnavailableError:
        return False


def _presented(failure: Failure, credential: bytes | None) -> Failure:
    """Return the failure with the beginning of the digest of the presented key, which identifies the key."""
    if credential is None:
        return failure
    return replace(
        failure, message=f"{failure.message}; the SHA-256 of the presented key begins with {credential.hex()[:8]}"
    )


_UNREADABLE = Failure(
    failures.CONTROL_UNAVAILABLE, "virtual keys cannot be looked up now; the log of the gateway says why; retry later"
)
_CUT_OFF = Failure(
    failures.CONTROL_UNAVAILABLE,
    "this virtual key cannot be checked now, since the worker has lost its connection to control; retry later",
)
_STALE = Failure(
    failures.SNAPSHOT_STALE,
    "control has been unreachable for longer than governance.max_stale_s, so the configuration of this worker may be "
    "out of date; start control again, or retry later",
)
