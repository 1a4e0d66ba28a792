"""What control lends to workers so that they can decide about limits on their own.

`granted` is all that a worker was ever allowed to count in a window, in units of the counter's metric; what it has
settled and reserved there never exceeds it. Grants and returns are told as differences, so that those which cross on
their way do not undo each other; the whole is told when a connection begins.

A window that begins while a worker holds a share opens with that share of the limit granted, without a word: the shares
of all workers never exceed the whole. So windows open even when control is silent. What control takes such a window to
have opened with may be more than it did, never less; so whatever a worker says of a window holds what it `opened` with,
0 where it has not been opened, as it then will open with nothing.
"""

from msgspec import Struct


class Holding(Struct, frozen=True, array_like=True):
    """What a worker may count in one window of a counter. `window` is its start in Unix seconds."""

    counter: str
    window: int
    granted: int
    opened: int = 0


class Want(Struct, frozen=True, array_like=True):
    """A wish for at least `more` units on top of what is granted."""

    counter: str
    window: int
    more: int
    opened: int = 0


class Grant(Struct, frozen=True, array_like=True):
    """The answer to a wish: `given` is added to what is granted. `left` is what is neither spent nor lent to anybody;
    `lent` is what other workers hold unspent, part of which may come free."""

    counter: str
    window: int
    given: int
    left: int
    lent: int


class Unable(Struct, frozen=True, array_like=True):
    """The answer to wishes while nobody can say what is left. `why` is told to clients."""

    why: str


class Return(Struct, frozen=True, array_like=True):
    """`amount` is taken from what is granted."""

    counter: str
    window: int
    amount: int
    opened: int = 0


class Share(Struct, frozen=True, array_like=True):
    """Of windows that begin at `since` (Unix seconds) or later, `part` of `whole` is granted as they open; none where
    `part` is 0."""

    part: int
    whole: int
    since: float


ALONE = Share(1, 1, float("-inf"))
"""The share of a worker that nobody else can spend beside."""

NO_SHARE = Share(0, 1, float("inf"))
"""Windows open with nothing."""
