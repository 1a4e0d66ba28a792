"""Decoding of answers with a content encoding, in bounded pieces: one for each turn of the event loop."""

import zlib

PIECE_BYTES = 32 * 1024
FREE_BYTES = 1024 * 1024  # below this much output the ratio is not checked
MAX_RATIO = 100
MAX_EMPTY_MEMBERS = 1_000  # consecutive empty members of a gzip stream
_STEPS = 500  # the most gzip members decoded in one turn
_INPUT_BYTES = 16 * 1024  # input of one call: zlib copies the bytes after the end of a member

_GZIP = 16 + zlib.MAX_WBITS


class UndecodableError(Exception):
    """The body does not match its encoding, or expands beyond the bounds."""


class BodyDecoder:
    """Decodes `gzip` or `deflate` (in zlib's format, or raw as some servers send it).

    Call `feed` with the bytes that arrived. Then call `take` while it `is_behind`, for pieces of at most 32 KiB. Input
    stays encoded until it is taken, so at most one decoded piece waits for a slow reader.
    """

    def __init__(self, encoding: bytes) -> None:
        self._is_gzip = encoding != b"deflate"
        self._inflate = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._waiting = b""
        self._at = 0  # bytes before this position have been read
        self._empty_members = 0
        self._has_more_output = False
        self._bytes_in = 0
        self._bytes_out = 0

    def feed(self, data: bytes) -> None:
        self._waiting = self._waiting[self._at :] + data if self._waiting else data
        self._at = 0

    @property
    def is_behind(self) -> bool:
        """Return whether `take` has more to return."""
        return bool(self._waiting) or self._has_more_output

    def take(self) -> bytes:
        """Return the next piece for one turn of the event loop; it may be empty. Raises `UndecodableError`."""
        found: list[bytes] = []
        size = steps = 0
        while self.is_behind and steps < _STEPS and size <= PIECE_BYTES // 2:
            steps += 1
            piece = self._step(PIECE_BYTES - size)
            size += len(piece)
            found.append(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    @property
    def is_whole(self) -> bool:
        """Return whether the stream is complete, or never began."""
        return self._inflate is None or self._inflate.eof or self._bytes_in == 0

    def _step(self, room: int) -> bytes:
        if self._inflate is None:
            # A raw stream cannot begin like zlib's header: its low nibble 8 would be a stored block with padding set.
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS * (1 if self._waiting[self._at] & 0x0F == 8 else -1))
        elif self._inflate.eof:
            if not self._is_gzip:
                raise UndecodableError("the compressed body has bytes after its end")
            self._inflate = zlib.decompressobj(_GZIP)  # gzip may consist of several members
        encoded = self._waiting[self._at : self._at + _INPUT_BYTES]
        try:
            piece = self._inflate.decompress(encoded, room)
        except zlib.error as error:
            raise UndecodableError(f"the compressed body is damaged ({error})") from None
        rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        # zlib may have consumed all input and still have output that did not fit into the piece.
        self._has_more_output = len(piece) == room and not self._inflate.eof
        read = len(encoded) - len(rest)
        self._at += read
        if self._at == len(self._waiting):
            self._waiting, self._at = b"", 0
        self._bytes_in += read
        if self._inflate.eof:
            self._empty_members = 0 if piece else self._empty_members + 1
            if self._empty_members > MAX_EMPTY_MEMBERS:
                raise UndecodableError(f"the compressed body has more than {MAX_EMPTY_MEMBERS} empty members")
        self._bytes_out += len(piece)
        if self._bytes_out > FREE_BYTES and self._bytes_out > MAX_RATIO * self._bytes_in:
            raise UndecodableError(f"the compressed body expands more than {MAX_RATIO} times")
        return piece


class BodyPieces:
    """Splits a body without a content encoding, if one read brings more than one turn of the event loop may handle."""

    is_whole = True

    def __init__(self) -> None:
        self._waiting = b""

    @property
    def is_behind(self) -> bool:
        """Return whether `take` has more to return."""
        return bool(self._waiting)

    def feed(self, data: bytes) -> None:
        self._waiting = self._waiting + data if self._waiting else data

    def take(self) -> bytes:
        """Return the next piece."""
        piece, self._waiting = self._waiting[:PIECE_BYTES], self._waiting[PIECE_BYTES:]
        return piece
