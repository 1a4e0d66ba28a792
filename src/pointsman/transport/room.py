"""Open files: the limit of a process, and the share of it for connections to providers.

The default limit of most systems is 1024, and the administrator's maximum is far higher, so the limit is raised to
that. Half of it is for clients, half for providers, less a reserve for files.
"""

import errno
import os
import resource
from collections.abc import Callable
from typing import Protocol

from pointsman.domain.network import Network
from pointsman.domain.origin import Origin

RESERVE = 128
MOST = 262_144  # more are of no use, and some programs close every possible descriptor

# The errors of a system for a shortage in this process or this machine.
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


def raise_limit() -> int:
    """Raise the limit of open files as far as the system allows. Return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return min(soft, MOST) if soft != resource.RLIM_INFINITY else MOST


def share(limit: int) -> int:
    """Return how many connections there may be on either side, given so many open files."""
    return max((limit - min(RESERVE, limit // 4)) // 2, 1)


def is_ours(error: OSError) -> bool:
    """Return whether an error is due to a shortage in this process or machine, in any operation."""
    return error.errno in OURS


def are_files_used_up() -> bool:
    """Return whether no file can be opened now: name lookups do not report it."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return is_ours(error)
    return False


class Idler(Protocol):
    """An owner of connections that may be idle."""

    def close_idle(self) -> bool:
        """Close the one that was unused for longest. Return false if there is none."""


class Room:
    """The number of connections to providers that a worker may have open, over all of them. `crowded` are the ways to a
    provider on which a request would have to wait for a connection. `refused` counts requests that found no room."""

    def __init__(self, limit: int = MOST) -> None:
        self.limit = limit
        self.used = 0
        self.refused = 0
        self.crowded: set[tuple[Network, Origin]] = set()
        self.pools: dict[Idler, None] = {}
        self.on_crowd: Callable[[], None] = lambda: None  # called after each change of `crowded`

    def note_crowd(self, way: tuple[Network, Origin], *, is_crowded: bool) -> None:
        """Note that a way to a provider has become crowded, or no longer is."""
        (self.crowded.add if is_crowded else self.crowded.discard)(way)
        self.on_crowd()

    def take(self) -> bool:
        """Take room for a connection, if necessary by closing an idle one."""
        if self.used >= self.limit and not any(pool.close_idle() for pool in self.pools):
            self.refused += 1
            return False
        self.used += 1
        return True

    def leave(self) -> None:
        """Return the room of a closed connection."""
        self.used -= 1
