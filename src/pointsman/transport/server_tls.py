"""TLS of the gateway's own listeners: its certificate, and the authorities of client certificates.

The files may be replaced while the gateway runs. New connections then use the new ones. Open connections keep the
certificate that they began with.
"""

import asyncio
import logging
import ssl
from pathlib import Path

from msgspec import Struct

from pointsman.transport.tls import describe

LOOK_S = 20.0  # between two looks at the files

_logger = logging.getLogger(__name__)


class Tls(Struct, frozen=True):
    """PEM files of a listener's own certificate. With `client_ca_file`, clients may present certificates that one of
    its authorities has signed, or must do so if `requires_client`."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None
    requires_client: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(one for one in (self.cert_file, self.key_file, self.client_ca_file) if one is not None)


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return the context of a listener. Raises `OSError` for unreadable files, and `ssl.SSLError` for files without a
    certificate or key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An empty passphrase makes an encrypted key an error; without it OpenSSL would prompt at the terminal.
    context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    if tls.client_ca_file is not None:
        context.load_verify_locations(cafile=tls.client_ca_file)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate authority may be trusted alone
        context.verify_mode = ssl.CERT_REQUIRED if tls.requires_client else ssl.CERT_OPTIONAL
        # A resumed session would skip the check of the certificate, even if its authority has gone.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


class ServerTls:
    """The TLS of one listener. `context` is for the listener, and hands each connection to the newest one. Raises the
    errors of `server_context`."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = _state(tls)
        self.context = self._newest = server_context(tls)
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Read the files again if they have changed. Return whether they are in force. Faulty ones are logged and
        left."""
        seen = _state(self._tls)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._newest = server_context(self._tls)
        except (OSError, ssl.SSLError) as error:
            reason = describe(error) if isinstance(error, ssl.SSLError) else error.strerror
            _logger.error(  # noqa: TRY400 -- a traceback would not help
                "the changed files of the certificate %s cannot be used: %s; the earlier ones stay in force",
                self._tls.cert_file,
                reason,
            )
            return False
        _logger.info("the changed files of the certificate %s are in force", self._tls.cert_file)
        return True

    async def watch(self) -> None:
        """Read changed files again, until the task is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.refresh)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest


def _state(tls: Tls) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when a file is replaced."""
    found = []
    for name in tls.files:
        try:
            status = Path(name).stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
