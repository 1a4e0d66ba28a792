"""Content encodings of answers, undone piece by piece and with bounds."""

import zlib
from collections.abc import Iterator

PIECE_BYTES = 64 * 1024
FREE_BYTES = 1024 * 1024  # below this much output the ratio is not looked at
MAX_RATIO = 100

_GZIP = 16 + zlib.MAX_WBITS


class UndecodableError(Exception):
    """The body is not what its encoding says, or expands beyond all measure."""


class BodyDecoder:
    """Undoes `gzip` or `deflate` (zlib's format, or raw as some servers send it).

    Feed what arrived, then take pieces of at most 64 KiB until there is none; input waits inside until its turn,
    so that whoever reads slowly is never owed more than one piece.
    """

    def __init__(self, encoding: bytes) -> None:
        self._is_gzip = encoding != b"deflate"
        self._inflate = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._waiting = b""
        self._has_more_output = False
        self._bytes_in = 0
        self._bytes_out = 0

    def feed(self, data: bytes) -> None:
        self._waiting = self._waiting + data if self._waiting else data

    def pieces(self) -> Iterator[bytes]:
        """Yield decoded pieces while there is input for them. Raises `UndecodableError`."""
        while self._waiting or self._has_more_output:
            piece = self._step()
            if piece:
                yield piece

    @property
    def is_whole(self) -> bool:
        """Whether the stream has come to its own end, or never began."""
        return self._inflate is None or self._inflate.eof or self._bytes_in == 0

    def _step(self) -> bytes:
        if self._inflate is None:
            # A raw stream cannot begin like zlib's header: its low nibble 8 would be a stored block with padding set.
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS * (1 if self._waiting[0] & 0x0F == 8 else -1))
        elif self._inflate.eof:
            if not self._is_gzip:
                raise UndecodableError("bytes follow the end of the compressed body")
            self._inflate = zlib.decompressobj(_GZIP)  # gzip may consist of several members
        given = len(self._waiting)
        try:
            piece = self._inflate.decompress(self._waiting, PIECE_BYTES)
        except zlib.error as error:
            raise UndecodableError(f"the compressed body is damaged ({error})") from None
        self._waiting = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        # zlib may have swallowed all input and yet hold the end of a match back for want of room.
        self._has_more_output = len(piece) == PIECE_BYTES and not self._inflate.eof
        self._bytes_in += given - len(self._waiting)
        self._bytes_out += len(piece)
        if self._bytes_out > FREE_BYTES and self._bytes_out > MAX_RATIO * self._bytes_in:
            raise UndecodableError(f"the compressed body expands more than {MAX_RATIO} times")
        return piece
