"""Leases: the parts of limits that control grants to workers, so that workers can decide on their own.

`granted` is the total that a worker was ever allowed to count in a window, in units of the counter's metric. The sum of
its settlements and reservations there never exceeds it. Grants and returns are sent as differences, so that messages
which cross do not undo each other. The totals are sent when a connection begins.

A window that begins while a worker holds a share opens with that share of the limit granted, without a message. The
shares of all workers never exceed the whole. So windows open even while control is silent. Control may assume a larger
opening amount than the real one, never a smaller one. So every message about a window carries its `opened` amount. That
is 0 for an unopened window, which will then open with nothing.
"""

from msgspec import Struct


class Holding(Struct, frozen=True, array_like=True):
    """A worker's lease on one window of a counter. `window` is its start in Unix seconds."""

    counter: str
    window: int
    granted: int
    opened: int = 0


class LeaseRequest(Struct, frozen=True, array_like=True):
    """A request for at least `more` units in addition to those granted."""

    counter: str
    window: int
    more: int
    opened: int = 0


class Grant(Struct, frozen=True, array_like=True):
    """The answer to a `LeaseRequest`: `granted` is added to the total granted. `remaining` is neither spent nor leased.
    `leased_elsewhere` is the unspent amount that other workers hold, part of which may be returned."""

    counter: str
    window: int
    granted: int
    remaining: int
    leased_elsewhere: int


class LeaseUnavailable(Struct, frozen=True, array_like=True):
    """The answer to each `LeaseRequest` while the remaining amount is unknown. `reason` is shown to clients."""

    reason: str


class Return(Struct, frozen=True, array_like=True):
    """A return of `amount`, which is subtracted from the granted units."""

    counter: str
    window: int
    amount: int
    opened: int = 0


class UsedHere(Struct, frozen=True, array_like=True):
    """The amount that a worker has spent and reserved in a window of a counter. Both are 0 if it never used the
    counter."""

    counter: str
    window: int
    amount: int


class UsedElsewhere(Struct, frozen=True, array_like=True):
    """The amount used in a window of a counter by everybody except the worker that receives this. It is below 0 after a
    correction. The worker itself has used `at_least` so much, as far as control knows better than the worker."""

    counter: str
    window: int
    amount: int
    at_least: int = 0


class Share(Struct, frozen=True, array_like=True):
    """The part of a limit that new windows open with. A window that begins at `since` (Unix seconds) or later opens
    with `part` of `whole` granted. It opens with nothing if `part` is 0."""

    part: int
    whole: int
    since: float


ALONE = Share(1, 1, float("-inf"))
"""The share of a sole worker: no other worker can spend."""

NO_SHARE = Share(0, 1, float("inf"))
"""Windows open with nothing."""
