"""Resolving host names: a cache for `getaddrinfo`, which blocks and therefore runs in threads of its own."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic

from pointsman.domain import failures
from pointsman.transport.errors import ConnectError

TTL_S = 30.0  # getaddrinfo does not return the TTL of the record
NEGATIVE_TTL_S = 5.0
STALE_S = 3600.0
REFRESH_PATIENCE_S = 0.5  # how long a request waits for fresh addresses before it uses old ones
MAX_LOOKUPS = 8
MAX_NAMES = 1024

Address = tuple[socket.AddressFamily, str]
Lookup = Callable[[str], list[Address]]


def system_lookup(host: str) -> list[Address]:
    """Return the addresses of `host`, in the system's order of preference. Blocks. Raises `OSError`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((info[0], str(info[4][0])) for info in found))


def literal_address(host: str) -> Address | None:
    """Return the address if `host` is one, or `None` if it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (socket.AF_INET6 if address.version == 6 else socket.AF_INET), str(address)


class _Name:
    """The cached addresses or error of one name. Times are monotonic seconds."""

    __slots__ = ("addresses", "error", "expires_at", "refresh", "resolved_at")

    def __init__(self) -> None:
        self.addresses: list[Address] = []
        self.resolved_at = 0.0
        self.error = ""
        self.expires_at = 0.0
        self.refresh: asyncio.Task[None] | None = None


class Resolver:
    """A cache of addresses, which are fresh for `ttl_s`. If a new lookup fails or is slow, the old addresses are used
    for up to an hour (`STALE_S`). A failure is cached for `NEGATIVE_TTL_S`. At most one lookup at a time runs for a
    name, and `MAX_LOOKUPS` in all."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lookup: Lookup = system_lookup,
        ttl_s: float = TTL_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._lookup = lookup
        self._ttl_s = ttl_s
        self._names: dict[str, _Name] = {}
        self._slots = asyncio.Semaphore(MAX_LOOKUPS)

    async def resolve(self, host: str) -> list[Address]:
        """Return the addresses of `host`, at least one. Raises `ConnectError` (`DNS_FAILED`)."""
        literal = literal_address(host)
        if literal is not None:
            return [literal]
        name = self._names.get(host)
        if name is None:
            name = self._remember(host)
        now = self._clock()
        if now >= name.expires_at:
            is_stale_usable = bool(name.addresses) and now - name.resolved_at < STALE_S
            refresh = name.refresh or self._start_refresh(host, name)
            await asyncio.wait({refresh}, timeout=REFRESH_PATIENCE_S if is_stale_usable else None)
        if name.addresses and self._clock() - name.resolved_at < STALE_S:
            return name.addresses
        raise ConnectError(failures.DNS_FAILED, f"could not resolve the host name {host}: {name.error}")

    async def close(self) -> None:
        """Cancel the waits for running lookups. Their threads end by themselves."""
        tasks = [name.refresh for name in self._names.values() if name.refresh is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._names.clear()

    def _remember(self, host: str) -> _Name:
        if len(self._names) >= MAX_NAMES:
            unused = next((key for key, name in self._names.items() if name.refresh is None), None)
            if unused is not None:
                del self._names[unused]
        name = self._names[host] = _Name()
        return name

    def _start_refresh(self, host: str, name: _Name) -> asyncio.Task[None]:
        name.refresh = self._loop.create_task(self._refresh(host, name))
        return name.refresh

    async def _refresh(self, host: str, name: _Name) -> None:
        try:
            async with self._slots:
                addresses = await self._look_up(host)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot express
            name.error = getattr(error, "strerror", None) or str(error)
            name.expires_at = self._clock() + NEGATIVE_TTL_S
        else:
            name.addresses = addresses
            name.resolved_at = self._clock()
            name.expires_at = name.resolved_at + self._ttl_s
        finally:
            name.refresh = None

    async def _look_up(self, host: str) -> list[Address]:
        """Run the blocking lookup in a daemon thread. Threads of an executor would delay the exit of the process until
        a dead name server times out."""
        answer: Future[list[Address]] = Future()
        answer.set_running_or_notify_cancel()  # from now on a cancelled wait does not disturb the thread

        def run() -> None:
            try:
                answer.set_result(self._lookup(host))
            except Exception as error:  # noqa: BLE001 -- carried over to the loop's thread
                answer.set_exception(error)

        threading.Thread(target=run, name=f"resolve-{host}", daemon=True).start()
        addresses = await asyncio.wrap_future(answer, loop=self._loop)
        if not addresses:
            raise OSError("the name has no addresses")
        return addresses
