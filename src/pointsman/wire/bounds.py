"""Limits on the contents of a JSON body, counted before any of it is parsed.

Parsed values become objects, so a body with a few bytes for each would grow to many times its size. The marks that
are outside texts are therefore counted first. This takes a few passes in C over pieces of the body, and keeps nothing
of it. The bounds are far beyond those of providers: OpenAI allows at most 2,048 inputs with 300,000 tokens, and 128
tools.
"""

from collections.abc import Iterator

from msgspec import Raw

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection

SMALL_BYTES = 64 * 1024  # a smaller body cannot contain enough to cause harm
MAX_VALUES = 1_000_000  # elements of lists and members of objects, at any depth
MAX_NAMES = 200_000  # of members of objects
MAX_CONTAINERS = 100_000  # objects and lists
MAX_FIELDS = 1_000  # members of the body itself
MAX_FIELD_BYTES = 256 * 1024  # of a field that is read as a whole, and of any name

# Fields that become Python objects, and are never long in an honest request.
_SHORT = frozenset(
    {"model", "fallbacks", "stream_options", "stop", "user", "logit_bias", "modalities", "reasoning_effort"}
    | {"encoding_format", "stop_sequences", "service_tier"}
)
_PIECE_BYTES = 256 * 1024
_MARKS = b'"\\,:{}[]'
_OTHERS = bytes(set(range(256)) - set(_MARKS))


def check_body(body: bytes) -> None:
    """Raise `Rejection` for a body that holds more than may be parsed. Invalid JSON may be rejected here or pass."""
    values = names = containers = 0
    for outside in _outline(body):
        values += outside.count(b",")
        names += outside.count(b":")
        containers += outside.count(b"{") + outside.count(b"[")
        if values >= MAX_VALUES:
            raise _rejection(f"the body holds more than {MAX_VALUES} values in lists and objects; send fewer")
        if names > MAX_NAMES:
            raise _rejection(f"the body holds more than {MAX_NAMES} fields, counted at every depth; send fewer")
        if containers > MAX_CONTAINERS:
            raise _rejection(f"the body holds more than {MAX_CONTAINERS} objects and lists; send fewer")


def check_fields(fields: dict[str, Raw]) -> None:
    """Raise `Rejection` for a body with too many fields, or with a long value in a field that should be short."""
    if len(fields) > MAX_FIELDS:
        raise _rejection(f"the body has {len(fields)} fields at its top level; send at most {MAX_FIELDS}")
    for name in _SHORT:
        if name in fields and memoryview(fields[name]).nbytes > MAX_FIELD_BYTES:
            raise _rejection(f"the field {name!r} is too long; send at most {MAX_FIELD_BYTES} bytes", name)


def count_prompts(prompt: Raw) -> int:
    """Return how many prompts a text completion has. A text is one prompt, and so is a list of numbers; otherwise each
    element is one."""
    view = memoryview(prompt)
    opening = bytes(view[:64]).translate(None, b" \t\r\n")[:2]
    if opening == b"[" and view.nbytes > 64:  # nothing but white space so far
        opening = bytes(view).translate(None, b" \t\r\n")[:2]
    if opening not in (b'["', b"[["):
        return 1
    outside = b"".join(_outline(bytes(view)))
    return 1 + outside.count(b"," if opening == b'["' else b"],[")


def count_names(text: bytes) -> int:
    """Return how many members the objects in a valid JSON value have. Equal names count each time."""
    return sum(outside.count(b":") for outside in _outline(text))


def _outline(text: bytes) -> Iterator[bytes]:
    """Yield the JSON marks that are outside texts, piece by piece. Raises `Rejection` for a name that is too long."""
    is_inside = is_escaped = is_long = False  # within a text; after an odd number of backslashes; for a whole piece
    for start in range(0, len(text), _PIECE_BYTES):
        piece = text[start + is_escaped : start + _PIECE_BYTES]
        is_escaped = False
        if b"\\" in piece:
            is_escaped = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        pieces = piece.translate(None, _OTHERS).split(b'"')
        if not is_inside or len(pieces) > 1:
            if is_long and pieces[1].startswith(b":"):
                raise _rejection(f"a field name in the body is too long; use at most {MAX_FIELD_BYTES} bytes")
            is_long = False
        else:
            is_long = True
        if not is_inside and pieces == [b""] and len(piece) > _PIECE_BYTES // 2 and piece.isspace():
            raise _rejection(
                f"the body holds more than {_PIECE_BYTES // 2} bytes of consecutive white space; remove it"
            )
        yield b"".join(pieces[is_inside::2])
        is_inside ^= len(pieces) % 2 == 0


def _rejection(message: str, param: str | None = None) -> Rejection:
    return Rejection(Failure(failures.INVALID_REQUEST, message, param=param))
