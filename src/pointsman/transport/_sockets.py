"""What asyncio's transports do not offer: the state of a socket nobody reads, and closing by reset."""

import asyncio
import socket
import struct

_CLOSED_STATES = (7, 8)  # of Linux's TCP_INFO: CLOSE, CLOSE_WAIT


def is_peer_gone(transport: asyncio.BaseTransport) -> bool:
    """Whether FIN or RST has arrived, though it may wait behind bytes that were not read."""
    connection = transport.get_extra_info("socket")
    state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in _CLOSED_STATES


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Make closing send RST instead of FIN, and drop what has not been sent."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
