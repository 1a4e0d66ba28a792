"""The addresses are free, or belong to the running gateway."""

import errno
import socket

from pointsman.config.addresses import ListenAddress
from pointsman.doctor.api import Finding, Subject, error, ok, skipped

CONNECT_S = 3.0


async def check(subject: Subject) -> list[Finding]:
    settings = subject.settings
    if settings is None:
        return []
    addresses = {"server.listen": settings.listen, "console.listen": settings.console}
    examine = _answers if subject.is_running else _is_free
    return [examine(field, address) for field, address in addresses.items()]


def _is_free(field: str, address: ListenAddress) -> Finding:
    if not address.port:
        return skipped(f"{field}: {address}: the system chooses a free port")
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError as problem:
            return _unusable(field, address, problem)
    return ok(f"{field}: {address} is free")


def _unusable(field: str, address: ListenAddress, problem: OSError) -> Finding:
    text = f"{field}: {address}: {problem.strerror or problem}"
    if problem.errno == errno.EADDRINUSE:
        return error(text, "stop the program that uses it (ss -ltnp), or choose another port")
    if problem.errno == errno.EACCES:
        return error(text, "choose a port above 1023, or give the gateway CAP_NET_BIND_SERVICE")
    return error(text, "choose an address of this machine (ip addr)")


def _answers(field: str, address: ListenAddress) -> Finding:
    if not address.port:
        return skipped(f"{field}: {address}: the log of the gateway has the port")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    try:
        socket.create_connection((host, address.port), CONNECT_S).close()
    except OSError as problem:
        text = f"{field}: the gateway runs, but {address} does not accept connections: {problem.strerror or problem}"
        return error(text, "look into its log; if the address in the file is new, restart the gateway")
    return ok(f"{field}: {address} accepts connections")
