"""Opening connections: name lookup, TCP, egress proxy, TLS, in this order."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from itertools import zip_longest

from pointsman.domain import failures
from pointsman.domain.network import Network, is_metadata
from pointsman.domain.origin import Origin
from pointsman.transport import tls
from pointsman.transport.errors import ConnectError
from pointsman.transport.resolver import Address, Resolver
from pointsman.transport.room import are_files_used_up, is_shortage

STAGGER_S = 0.25  # the head start of one address before the next one is tried in parallel
# Clients beyond the limit of connections use files until their rejection is sent, so files may soon be free again.
FILES_WAIT_S = 1.0  # the longest wait for a free file descriptor
FILES_STEP_S = 0.02
MAX_PROXY_ANSWER = 16 * 1024

_NO_FILES = (
    "could not open a connection to %s: the gateway has no free file descriptors or ports; "
    "raise the limit of open files (LimitNOFILE, ulimit -n)"
)

NOT_PUBLIC = "the host has no public address"
_METADATA = (
    "the address is that of a metadata service or of the local link, to which no request may go; set another one"
)

# A dead peer is detected after about a minute without traffic, or 30 s after it stopped acknowledging output.
KEEPALIVE_IDLE_S = 30
KEEPALIVE_INTERVAL_S = 10
KEEPALIVE_PROBES = 3
USER_TIMEOUT_MS = 30_000


class Connector:
    """Opens connections over one egress path. Raises the errors of `tls.client_context` if its files are unusable, and
    `ValueError` for a proxy that does not use plain HTTP."""

    def __init__(self, loop: asyncio.AbstractEventLoop, network: Network, resolver: Resolver) -> None:
        if network.proxy is not None and network.proxy.scheme != "http":
            raise ValueError(f"the address of the egress proxy must begin with http://, not {network.proxy.scheme}://")
        self._loop = loop
        self.network = network
        self._resolver = resolver
        if network.ca_file is not None or network.client_cert is not None:
            _ = self._tls  # report an unusable file now, not at the first request

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls.client_context(self.network)

    async def connect(self, origin: Origin, protocol: asyncio.Protocol, enter_phase: Callable[[str], None]) -> None:
        """Connect `protocol` to `origin`. `enter_phase` is called with a description of each step.

        Raises `ConnectError`. There is no time limit: the caller cancels this coroutine, which closes the socket.
        """
        self._check_host(origin.host)
        sock = await self._open_socket(self.network.proxy or origin, enter_phase)
        try:
            if self.network.proxy is not None:
                enter_phase("while waiting for the egress proxy")
                await self._ask_proxy(sock, origin)
            if origin.scheme == "https":
                enter_phase("during the TLS handshake")
                await self._start_tls(sock, origin, protocol)
            else:
                await self._loop.create_connection(lambda: protocol, sock=sock)
        except OSError as error:
            sock.close()
            raise _failure(origin, error) from None
        except BaseException:  # also a cancellation: nothing else would close the socket
            sock.close()
            raise

    async def _open_socket(self, origin: Origin, enter_phase: Callable[[str], None]) -> socket.socket:
        enter_phase("while resolving the name")
        try:
            addresses = await self._resolver.resolve(origin.bare_host)
        except ConnectError as error:
            if are_files_used_up():
                raise ConnectError(failures.OVERLOADED_GATEWAY, _NO_FILES % origin) from error
            raise
        if self.network.proxy is None:
            addresses = self._allowed(addresses)
        enter_phase("while opening the connection")
        try:
            return await self._race(_interleaved(addresses), origin.port)
        except OSError as error:
            raise _failure(origin, error) from None

    def _allowed(self, addresses: list[Address]) -> list[Address]:
        """Return the addresses that may be connected to, at least one. Raises `ConnectError`."""
        network = self.network
        if not network.reaches_metadata:
            addresses = [one for one in addresses if not is_metadata(one[1])]
            if not addresses:
                raise ConnectError(failures.CONNECT_FAILED, _METADATA)
        if network.is_public_only:
            addresses = [one for one in addresses if network.allows(one[1])]
            if not addresses:
                raise ConnectError(failures.CONNECT_FAILED, NOT_PUBLIC)
        return addresses

    def _check_host(self, host: str) -> None:
        """Reject the metadata services of clouds, whatever name leads to them."""
        if not self.network.reaches_metadata and is_metadata(host):
            raise ConnectError(failures.CONNECT_FAILED, _METADATA)

    async def _race(self, addresses: list[Address], port: int) -> socket.socket:
        """Try the addresses in order: the next one when one fails, or is slow. Return the first socket that
        connects."""
        if len(addresses) == 1:
            return await self._connect_socket(addresses[0], port)
        running: set[asyncio.Task[socket.socket]] = set()
        error: OSError | None = None
        try:
            for index, address in enumerate(addresses):
                running.add(self._loop.create_task(self._connect_socket(address, port)))
                is_last = index == len(addresses) - 1
                while running:
                    timeout = None if is_last else STAGGER_S
                    done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                    won = [task.result() for task in done if task.exception() is None]
                    for late in won[1:]:
                        late.close()
                    if won:
                        return won[0]
                    for task in done:
                        failure = task.exception()
                        if not isinstance(failure, OSError):
                            raise failure or RuntimeError("a finished task has no outcome")
                        error = failure
                    if not is_last:
                        break
            raise error or OSError("no address")
        finally:
            await _discard(running)

    async def _connect_socket(self, address: Address, port: int) -> socket.socket:
        family, host = address
        sock = await self._new_socket(family)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (
                ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
                ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
                ("TCP_KEEPCNT", KEEPALIVE_PROBES),
                ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
            ):
                if hasattr(socket, option):  # only Linux has all of them
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            await self._loop.sock_connect(sock, (host, port))
        except BaseException:  # also a cancellation: nothing else would close the socket
            sock.close()
            raise
        return sock

    async def _new_socket(self, family: int) -> socket.socket:
        """Return a new socket. If no file descriptor is free, wait for one."""
        until = self._loop.time() + FILES_WAIT_S
        while True:
            try:
                return socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                if not is_shortage(error) or self._loop.time() >= until:
                    raise
            await asyncio.sleep(FILES_STEP_S)

    async def _ask_proxy(self, sock: socket.socket, origin: Origin) -> None:
        """Request a tunnel to `origin` from the proxy."""
        proxy = self.network.proxy
        authority = origin.address
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self.network.proxy_authorization is not None:
            lines.append(f"Proxy-Authorization: {self.network.proxy_authorization.reveal()}")
        await self._loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = await self._loop.sock_recv(sock, 4096)
            answer += data
            if not data or len(answer) > MAX_PROXY_ANSWER:
                raise ConnectError(
                    failures.CONNECT_FAILED,
                    f"the egress proxy {proxy} closed the connection, or its answer was too long",
                )
        head, _, rest = answer.partition(b"\r\n\r\n")
        version, _, outcome = head.partition(b"\r\n")[0].partition(b" ")
        if not version.startswith(b"HTTP/1.") or not outcome[:3].isdigit():
            raise ConnectError(
                failures.CONNECT_FAILED,
                f"the egress proxy {proxy} answered with something other than HTTP; check its address",
            )
        if outcome[:1] != b"2":
            status = outcome[:3].decode("ascii")
            message = f"the egress proxy {proxy} refused a tunnel to {authority} with status {status}"
            raise ConnectError(failures.CONNECT_FAILED, message)
        if rest:  # a provider sends nothing before a request, so these bytes are not its own
            message = f"the egress proxy {proxy} sent unexpected bytes after it opened the tunnel"
            raise ConnectError(failures.CONNECT_FAILED, message)

    async def _start_tls(self, sock: socket.socket, origin: Origin, protocol: asyncio.Protocol) -> None:
        try:
            await self._loop.create_connection(
                lambda: protocol,
                sock=sock,
                ssl=self._tls,
                server_hostname=origin.bare_host,
                ssl_handshake_timeout=2 * self.network.connect_timeout_s,  # the caller's time limit comes earlier
            )
        except ssl.SSLError as error:
            message = f"TLS with {origin} failed: {tls.describe(error)}"
            raise ConnectError(failures.TLS_FAILED, message) from None
        except ssl.CertificateError as error:
            raise ConnectError(failures.TLS_FAILED, f"TLS with {origin} failed: {error}") from None
        except ConnectionError:
            message = f"TLS with {origin} failed: the other side closed the connection during the handshake"
            raise ConnectError(failures.TLS_FAILED, message) from None


def _failure(origin: Origin, error: OSError) -> ConnectError:
    """Return an error whose kind tells a shortage in this process or on this machine from a fault of the other side."""
    if is_shortage(error):
        return ConnectError(failures.OVERLOADED_GATEWAY, f"{_NO_FILES % origin} ({_words(error)})")
    return ConnectError(failures.CONNECT_FAILED, f"could not connect to {origin}: {_words(error)}")


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Return IPv4 and IPv6 addresses in turn, beginning with the system's preference. So if one of both does not work,
    only one attempt is lost before the other is tried."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    second = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, second) for address in pair if address is not None]


def _words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__


async def _discard(attempts: set[asyncio.Task[socket.socket]]) -> None:
    """Cancel attempts that are no longer needed, and close the sockets that they opened."""
    for task in attempts:
        task.cancel()
    for task in attempts:
        with contextlib.suppress(asyncio.CancelledError, OSError):
            (await task).close()
