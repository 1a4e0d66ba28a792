"""Open files: how many a process may have, and how many of them are for connections to providers.

Without a word of its own the limit of most systems is 1024, and what the administrator allows is far more: so the limit
is raised to that. Half of it is for clients, half for providers, less a reserve for files.
"""

import errno
import os
import resource
from collections.abc import Callable
from typing import Protocol

from pointsman.domain.network import Network
from pointsman.domain.origin import Origin

RESERVE = 128
MOST = 262_144  # there is no use for more, and some programs close every descriptor there might be

# What a system says when it is this process, or this machine, that has no more.
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


def raise_limit() -> int:
    """Have as many open files as the system allows. Returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return min(soft, MOST) if soft != resource.RLIM_INFINITY else MOST


def share(limit: int) -> int:
    """Of so many open files, how many connections there may be on either side."""
    return max((limit - min(RESERVE, limit // 4)) // 2, 1)


def is_ours(error: OSError) -> bool:
    """Whether an error is for want of something here, whatever it was about."""
    return error.errno in OURS


def are_files_used_up() -> bool:
    """Whether no file can be opened now: name lookups do not say so."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return is_ours(error)
    return False


class Idler(Protocol):
    """Who may have connections that nobody uses now."""

    def close_idle(self) -> bool:
        """Close the one that was not used for longest. False: there is none."""


class Room:
    """How many connections to providers a worker may have open, over all of them. `crowded` are the ways to a provider
    on which a request would have to wait for a connection; `refused` counts requests there was no room for."""

    def __init__(self, limit: int = MOST) -> None:
        self.limit = limit
        self.used = 0
        self.refused = 0
        self.crowded: set[tuple[Network, Origin]] = set()
        self.pools: dict[Idler, None] = {}
        self.on_crowd: Callable[[], None] = lambda: None  # called after each change of `crowded`

    def note_crowd(self, way: tuple[Network, Origin], *, is_crowded: bool) -> None:
        """A way to a provider has become crowded, or is no longer."""
        (self.crowded.add if is_crowded else self.crowded.discard)(way)
        self.on_crowd()

    def take(self) -> bool:
        """Take room for a connection, if need be that of one that is idle."""
        if self.used >= self.limit and not any(pool.close_idle() for pool in self.pools):
            self.refused += 1
            return False
        self.used += 1
        return True

    def leave(self) -> None:
        """A connection is closed."""
        self.used -= 1
