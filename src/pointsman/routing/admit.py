"""Admission: from a client's credential to its rights or a rejection."""

from collections.abc import Mapping

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.holds import Held
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.wire.callers import is_within


class Admission(Struct, frozen=True):
    """The result of an admission. `virtual_key` is `None` in open mode without a key."""

    virtual_key: VirtualKey | None = None


_OPEN = Admission()
EXPIRED = Failure(failures.UNKNOWN_KEY, "the virtual key has expired; present another one")
NO_VALID_KEY = Failure(
    failures.UNKNOWN_KEY,
    "no valid virtual key was presented; send one as 'Authorization: Bearer <key>' or 'x-api-key: <key>'",
)


def admit(credential: bytes | None, snapshot: Snapshot) -> Admission | Failure:
    """Return the admission of a credential, the SHA-256 of the presented key. Every rejection has the same message,
    so that it does not help an attacker. Only the holder of an expired key learns that it has expired:
    `check_time`."""
    known = snapshot.virtual_keys.get(credential) if credential is not None else None
    if known is not None:
        return Admission(known)
    if not snapshot.require_key:
        return _OPEN
    return NO_VALID_KEY


def pause_of(key: VirtualKey, paused: Mapping[str, Held], now: float) -> Failure | None:
    """Return the rejection of a key that an operator has paused, or whose parent, team or customer is paused. `paused`
    are holds by owner, and `now` is in monotonic seconds."""
    owners = (("virtual_key", key.name), ("virtual_key", key.parent), ("team", key.team), ("customer", key.customer))
    for level, name in owners:
        held = paused.get(f"{level}:{name}") if name is not None else None
        if held is not None and now < held.until:
            return Failure(failures.KEY_PAUSED, held.hold.describe())
    return None


def check_network(key: VirtualKey | None, address: str) -> Failure | None:
    """Return the rejection of a key that may not be used from this address; empty text is an unknown one."""
    if key is None or not key.networks or is_within(address, key.networks):
        return None
    message = f"this virtual key may not be used from {address or 'this address'}; its `from` lists the networks"
    return Failure(failures.NETWORK_NOT_ALLOWED, message)


def check_time(key: VirtualKey | None, now_unix_s: float) -> Failure | None:
    """Return the rejection of a key that has expired."""
    is_over = key is not None and key.expires_at is not None and now_unix_s >= key.expires_at
    return EXPIRED if is_over else None
