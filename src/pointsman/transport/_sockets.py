"""Operations on sockets. asyncio's transports lack two: the state of a socket that is not being read, and closing by
reset. The other functions wrap a transport's own operations, which raise if the transport has failed and
`connection_lost` has not reported it yet."""

import asyncio
import logging
import socket
import struct

_logger = logging.getLogger(__name__)

_CLOSED_STATES = (7, 8)  # of Linux's TCP_INFO: CLOSE, CLOSE_WAIT


def is_peer_gone(transport: asyncio.BaseTransport) -> bool:
    """Return whether FIN or RST has arrived, even if unread bytes arrived before it."""
    connection = transport.get_extra_info("socket")
    state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in _CLOSED_STATES


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Set the socket to send RST instead of FIN when it is closed, and to drop all unsent output."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def set_reading(transport: asyncio.ReadTransport, *, is_wanted: bool) -> None:
    """Start or stop reading."""
    try:
        if is_wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()
    except (OSError, RuntimeError):
        _logger.debug("could not start or stop reading: the connection had failed", exc_info=True)


def end_writing(transport: asyncio.WriteTransport) -> None:
    """Send FIN after the output. The socket can still be read."""
    try:
        if transport.can_write_eof():
            transport.write_eof()
    except (OSError, RuntimeError):
        transport.abort()


def peer_of(transport: asyncio.BaseTransport) -> str | None:
    """Return the address of the other side. Call this while the connection is open."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else None


def certificate_of(transport: asyncio.BaseTransport) -> bytes | None:
    """Return the verified certificate of the other side, in DER."""
    connection = transport.get_extra_info("ssl_object")
    found: bytes | None = connection.getpeercert(binary_form=True) if connection is not None else None
    return found
