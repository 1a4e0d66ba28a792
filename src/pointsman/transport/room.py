"""The limit of open files of a process, and the share of it for connections to providers.

Most systems have a soft limit of 1024 and a far higher hard limit, so the soft limit is raised to the hard one. After a
reserve for other files, half of it is for connections of clients and half for those to providers.
"""

import errno
import os
import resource
from collections.abc import Callable
from typing import Protocol

from pointsman.domain.network import Network
from pointsman.domain.origin import Origin

RESERVE = 128  # files other than connections: logs, the journal, listening sockets
MOST = 262_144  # more would be useless, and slow for programs that close every possible descriptor

# The errors that mean a shortage in this process or on this machine.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


def raise_limit() -> int:
    """Raise the limit of open files as far as the system allows, up to `MOST`. Return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return min(soft, MOST) if soft != resource.RLIM_INFINITY else MOST


def share(limit: int) -> int:
    """Return the most connections on either side (clients, providers) for a limit of open files."""
    return max((limit - min(RESERVE, limit // 4)) // 2, 1)


def is_shortage(error: OSError) -> bool:
    """Return whether an error means a shortage in this process or on this machine."""
    return error.errno in SHORTAGES


def are_files_used_up() -> bool:
    """Return whether no file can be opened now. A failed name lookup does not report this cause."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return is_shortage(error)
    return False


class IdlePool(Protocol):
    """A pool of connections, some of which may be idle."""

    def close_idle(self) -> bool:
        """Close the idle connection that was unused for longest. Return false if there is none."""


class Room:
    """The connections to providers that a worker may open, over all providers together: at most `limit`, of which
    `used` are open. `rejected` counts requests that got no connection because of the limit. `saturated` lists the
    egress paths and origins at their own limit: a request to one of them would wait for a connection."""

    def __init__(self, limit: int = MOST) -> None:
        self.limit = limit
        self.used = 0
        self.rejected = 0
        self.saturated: set[tuple[Network, Origin]] = set()
        self.pools: dict[IdlePool, None] = {}
        self.on_saturation: Callable[[], None] = lambda: None  # called after each change of `saturated`

    def set_saturated(self, path: tuple[Network, Origin], *, is_saturated: bool) -> None:
        """Record that the pool of this egress path and origin has become saturated, or no longer is."""
        (self.saturated.add if is_saturated else self.saturated.discard)(path)
        self.on_saturation()

    def take(self) -> bool:
        """Count a connection that is about to be opened; at the limit, close an idle one first. Return false if none is
        idle."""
        if self.used >= self.limit and not any(pool.close_idle() for pool in self.pools):
            self.rejected += 1
            return False
        self.used += 1
        return True

    def release(self) -> None:
        """Count a connection as closed."""
        self.used -= 1
