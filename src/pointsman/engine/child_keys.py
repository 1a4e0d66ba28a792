"""Child keys that clients make with their virtual key. A worker has no database, so control makes them."""

from typing import Protocol

from pointsman.domain import failures
from pointsman.domain.failures import KINDS, Failure, Rejection
from pointsman.engine.heads import AdmittedHead
from pointsman.engine.tasks import Waiter
from pointsman.link.frames import KeyMade
from pointsman.link.keys import AWAY, OnMade
from pointsman.wire.api.keys import PATHS, check_body
from pointsman.wire.encodings import reject_encoded

(_PATH,) = PATHS
_NO_RIGHT = Failure(
    failures.CHILD_KEY_NOT_ALLOWED,
    "this virtual key may not make child keys; present one whose settings have `child_keys`",
)


class KeyClient(Protocol):
    """The part of the connection to control that makes child keys."""

    def make(self, parent: str, body: bytes, on_made: OnMade) -> None:
        """Request a child of a key. `on_made` is called once, later."""
        ...


def is_child_key(entry: AdmittedHead) -> bool:
    """Return whether a request makes a child key."""
    return entry.parsed.api is _PATH


async def make_child(entry: AdmittedHead, body: bytes, client: KeyClient | None) -> bytes:
    """Make a child of the key that a request presents. Return the answer to its client. Raises `Rejection`."""
    key = entry.admission.virtual_key
    if key is None or key.children is None:
        raise Rejection(_NO_RIGHT)
    reject_encoded(entry.parsed.content_encoding)
    check_body(body)
    made = AWAY
    if client is not None:
        waiter = Waiter[KeyMade]()
        client.make(key.name, body, waiter.set)
        made = await waiter
    if made.code:
        raise Rejection(Failure(KINDS.get(made.code, failures.INTERNAL), made.message, param=made.param))
    return made.body
