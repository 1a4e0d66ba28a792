"""Who may come in: from the credential a client presents to a grant or a refusal."""

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.snapshots import Snapshot, VirtualKey


class Grant(Struct, frozen=True):
    """What was granted. `virtual_key` is `None` in open mode without a key."""

    virtual_key: VirtualKey | None = None


_OPEN = Grant()
REFUSED = Failure(failures.UNKNOWN_KEY, "no valid virtual key was presented; send one as 'Authorization: Bearer <key>'")


def admit(credential: bytes | None, snapshot: Snapshot) -> Grant | Failure:
    """`credential` is the SHA-256 of the presented key. One message for every cause: it must not help guessing."""
    known = snapshot.virtual_keys.get(credential) if credential is not None else None
    if known is not None:
        return Grant(known)
    if not snapshot.require_key:
        return _OPEN
    return REFUSED
