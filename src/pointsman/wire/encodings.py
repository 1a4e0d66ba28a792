"""Request bodies that a client has compressed. https://www.rfc-editor.org/rfc/rfc9110#field.content-encoding

A few compressed kilobytes may expand to gigabytes. The output is therefore bounded, both by itself and in proportion to
the input.
"""

import zlib

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Rejection
from pointsman.wire.json_object import rejection
from pointsman.wire.paths import Parse, ParsedHead
from pointsman.wire.sse import BYTE_ORDER_MARK

ACCEPTED = ("gzip", "deflate")
MAX_BYTES = 50 * 1024 * 1024  # of a body when it is plain
MAX_RATIO = 100  # of plain to compressed bytes, beyond the first of these:
FREE_BYTES = 1024 * 1024
MAX_MEMBERS = 1000  # of a gzip file: honest clients use far fewer
LARGE_FROM_BYTES = 4 * 1024  # compressed: a body of this size may take long to decompress and to parse
_PIECE_BYTES = 1024 * 1024  # of output at a time

_NAMES = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def encoding_of(header: str) -> str:
    """Return the encoding that a header names, empty for none. Raises `Rejection` for an unsupported encoding."""
    name = _NAMES.get(header.strip().lower())
    if name is None:
        accepted = " or ".join(ACCEPTED)
        message = (
            f"the content encoding {header[:100]!r} is not supported; send the body uncompressed, or as {accepted}"
        )
        raise Rejection(Failure(failures.UNSUPPORTED_ENCODING, message, param="content-encoding"))
    return name


def reject_encoded(encoding: str) -> None:
    """Raise `Rejection` for a compressed body that is passed on as it arrives."""
    if encoding:
        message = f"forms and files must not be compressed; send the body without the content encoding {encoding}"
        raise Rejection(Failure(failures.UNSUPPORTED_ENCODING, message, param="content-encoding"))


def decoded(body: bytes, encoding: str) -> bytes:
    """Return the plain body. Raises `Rejection` if it is damaged, or expands beyond the bounds."""
    is_gzip = encoding == "gzip"
    # A raw stream cannot begin like zlib's header: its low nibble 8 would be a stored block with padding set.
    window = _GZIP if is_gzip else (_ZLIB if body[:1] and body[0] & 0x0F == 8 else _RAW)
    pieces: list[bytes] = []
    size, length = 0, len(body)
    for _ in range(MAX_MEMBERS):
        inflate = zlib.decompressobj(window)
        data = body
        while not inflate.eof:
            try:
                piece = inflate.decompress(data, _PIECE_BYTES)
            except zlib.error:
                raise rejection(
                    f"the body is not valid {encoding}; correct the body or its content-encoding header",
                    "content-encoding",
                ) from None
            size += len(piece)
            if size > MAX_BYTES:
                message = f"the request body is larger than {MAX_BYTES} bytes when decompressed; send a smaller one"
                raise Rejection(Failure(failures.REQUEST_TOO_LARGE, message))
            pieces.append(piece)
            data = inflate.unconsumed_tail
            if not data and len(piece) < _PIECE_BYTES and not inflate.eof:
                raise rejection(f"the {encoding} body is incomplete; send all of it", "content-encoding")
            if size > FREE_BYTES and size > MAX_RATIO * (length - len(data)):
                raise rejection(
                    f"the body expands to more than {MAX_RATIO} times its size; send it uncompressed",
                    "content-encoding",
                )
        body = inflate.unused_data
        if not body:
            return b"".join(pieces)
        if not is_gzip:
            break
    raise rejection(f"the body has extra bytes after its {encoding} data; remove them", "content-encoding")


def parse_encoded(parse: Parse, parsed: ParsedHead, body: bytes) -> Call:
    """Parse the call in a body with the content encoding in its head. Raises `Rejection`."""
    return parse(parsed, decoded(body, parsed.content_encoding).removeprefix(BYTE_ORDER_MARK))
