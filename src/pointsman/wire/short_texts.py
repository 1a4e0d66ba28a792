"""A large JSON value without its long texts, so that it is quick to decode and then takes little memory."""

_PIECE_BYTES = 256 * 1024
_ESCAPE_BYTES = 6  # of a letter that is written as an escape


def shorten(text: bytes, most: int) -> bytes:
    """Return `text`, which is valid JSON, with long texts replaced. A text of more than `most` letters becomes another
    one that is also longer than `most`. All else keeps its meaning, though it may be written with other escapes."""
    long = b"?" * (most + 1)
    out: list[bytes] = []
    texts: list[bytes] = []  # the pieces of a text that continues after the current position
    size, is_inside, start = 0, False, 0
    while start < len(text):
        piece = text[start : start + _PIECE_BYTES]
        start += len(piece)
        if b"\\" in piece:
            odd = (len(piece) - len(piece.rstrip(b"\\"))) % 2
            if odd and start < len(text):  # an escape is not cut
                piece, start = piece[:-1], start - 1
            piece = piece.replace(b"\\\\", b"\\u005c").replace(b'\\"', b"\\u0022")
        parts = piece.split(b'"')
        if is_inside:
            size += len(parts[0])
            texts.append(parts[0] if size <= most * _ESCAPE_BYTES else b"")
            if len(parts) == 1:
                continue
            parts[0] = b"".join(texts) if size <= most * _ESCAPE_BYTES else long
        first = 0 if is_inside else 1
        for index in range(first, len(parts) - 1, 2):
            if len(parts[index]) > most and _is_long(parts[index], most):
                parts[index] = long
        is_inside = (len(parts) - first) % 2 == 1
        if is_inside:
            texts, size = [parts[-1]], len(parts[-1])
            parts[-1] = b""
            if size > most * _ESCAPE_BYTES:
                texts = []
        out.append(b'"'.join(parts))
    return b"".join(out)


def _is_long(text: bytes, most: int) -> bool:
    return b"\\" not in text or len(text) > most * _ESCAPE_BYTES
