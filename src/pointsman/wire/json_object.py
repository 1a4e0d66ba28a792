"""The top level of a JSON body: split into fields without touching their values.

The gateway decides on one reading of a body and sends another, so three faults of `msgspec` alone would be unsafe. It
takes the last of two equal keys. It accepts invalid UTF-8 inside a value it only skips. It runs out of stack on deeply
nested input. `read_object` rejects all three.
"""

import json
import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.wire.bounds import SMALL_BYTES, check_body, check_fields

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
encode_object = _ENCODER.encode
_PIECE_BYTES = 1 << 20
MAX_KNOWN = 64  # characters of a name that the gateway acts on
_SHAPES = {0x22: "str", 0x5B: "array", 0x7B: "object", 0x74: "bool", 0x66: "bool", 0x6E: "null"}  # by their first byte

_SPACE = re.compile(rb"[ \t\r\n]*+")
_KEY = re.compile(rb'[ \t\r\n]*+("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+')
# An escape from \ud800 to \udfff that lacks its other half, where the decoder's own message misleads.
_HALF = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_BYTE = re.compile(r"\(byte (\d+)\)")

_REPLACEMENT = rb"\ufffd"

# The exceptions of `msgspec` for invalid JSON, a wrong shape, too deep nesting, and a decoded name or text that is not
# UTF-8.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_FRACTION = re.compile(rb"-?\d+(?:\.\d+(?:[eE][+\-]?\d+)?|[eE][+\-]?\d+)")
_NUMBER_BYTES = 32
_EXACT = 2**53  # below it, a fraction that is whole is exact

_NOTHING = frozenset({b"", b"null", b'""', b"[]", b"{}"})
_LONGEST = max(map(len, _NOTHING))

T = TypeVar("T")


def read_leniently(decoder: "msgspec.json.Decoder[T]", data: bytes) -> T:
    """Decode JSON of a provider, in which a text may hold half of a surrogate pair: streams cut texts anywhere. Raises
    the exceptions in `UNREADABLE`."""
    try:
        return decoder.decode(data)
    except UNREADABLE:
        if _HALF.search(data) is None:
            raise
    return decoder.decode(_HALF.sub(lambda _: _REPLACEMENT, data))


def read_or(decoder: "msgspec.json.Decoder[T]", data: bytes | Raw, otherwise: T) -> T:
    """Decode JSON, or return `otherwise` if it cannot be read."""
    try:
        return decoder.decode(data)
    except UNREADABLE:
        return otherwise


def read_value(decoder: "msgspec.json.Decoder[T]", raw: Raw | bytes, place: str) -> T:
    """Decode a value of a client's body. `place` is its path in the body. Raises `Rejection` naming the field."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        message, _, within = str(error).partition(" - at `$")
        param = place + within.rstrip("`")
        raise rejection(f"the field {param!r}: {message[0].lower()}{message[1:]}", param) from None
    except UNREADABLE as error:
        raise rejection(f"the field {place!r} is not valid JSON: {error}", place) from None


def is_empty(value: Raw) -> bool:
    """Return whether a field is absent, null or empty."""
    raw = bytes(value)
    return len(raw) <= _LONGEST and raw in _NOTHING  # the hash of a long value takes time


def rejection(message: str, param: str | None = None) -> Rejection:
    """Return a 400 that names the field."""
    return Rejection(Failure(failures.INVALID_REQUEST, message, param=param))


def read_object(body: bytes, place: str = "") -> dict[str, Raw]:
    """Return the fields of a JSON object, each value as the bytes the client sent. `place` is put before the names of
    rejected fields.

    Raises `Rejection`: not JSON, not an object, not UTF-8, nested too deep, or a key that appears twice.
    """
    is_small = len(body) <= SMALL_BYTES
    if not body.isascii():
        _check_text(body)
    if not is_small:
        check_body(body)
    try:
        fields = _OBJECT.decode(body)
        # Writing the fields again can only remove white space and repeated keys, so an equal length proves that there
        # are neither. Without white space it proves that no key repeats. For a large body, walking is faster than
        # writing.
        again = _ENCODER.encode(fields) if is_small else b""
        is_sure = is_small and (len(again) == len(body) or _size(again) == _size(body))
    except msgspec.ValidationError:
        raise rejection('the body must be a JSON object, such as {"model": …}') from None
    except msgspec.DecodeError as error:
        raise Rejection(Failure(failures.INVALID_JSON, f"the body is not valid JSON: {_why(body, error)}")) from None
    except RecursionError:
        raise Rejection(
            Failure(failures.INVALID_JSON, "the body is nested too deeply; use fewer levels of objects and lists")
        ) from None
    if not is_small:
        check_fields(fields)
    if not is_sure:
        _reject_repeated_keys(body, fields, place)
    return fields


def _why(body: bytes, error: msgspec.DecodeError) -> str:
    """Return the fault of a body. The message is clearer than the decoder's if half a pair is near the place it
    names."""
    match = _BYTE.search(str(error))
    near = body[max(int(match[1]) - 32, 0) : int(match[1]) + 32] if match is not None else body[-64:]
    return "a string has half of a surrogate pair; send both halves" if _HALF.search(near) else str(error)


def _check_text(body: bytes) -> None:
    """Reject a body that is not UTF-8. It is checked in pieces: decoded whole, one rare letter would quadruple its
    size."""
    start = 0
    while start < len(body):
        end = start + _PIECE_BYTES
        while body[end : end + 1] and body[end] & 0xC0 == 0x80 and end < start + _PIECE_BYTES + 4:
            end += 1  # in the middle of a letter
        try:
            body[start:end].decode()
        except UnicodeDecodeError as error:
            message = f"the body is not valid UTF-8: {error.reason} at byte {start + error.start}"
            raise Rejection(Failure(failures.INVALID_JSON, message)) from None
        start = end


def _size(valid: bytes) -> int:
    """Return the length without white space."""
    return len(msgspec.json.format(valid, indent=-1))


def _reject_repeated_keys(body: bytes, fields: dict[str, Raw], place: str) -> None:
    """Walk the top level of `body`, which is known to be a valid object, key by key."""
    seen: set[str] = set()
    start = _SPACE.match(body)
    position = (start.end() if start else 0) + 1
    while match := _KEY.match(body, position):
        key: str = json.loads(match[1])
        value = bytes(fields[key])
        # Of two equal keys `fields` holds the last value, so the walk stops at the first of them. If the values are
        # equal too, the walk passes that key twice.
        if key in seen or not body.startswith(value, match.end()):
            raise rejection(f"the field {place + key!r} appears more than once; send it once", place + key)
        seen.add(key)
        after = _SPACE.match(body, match.end() + len(value))
        position = (after.end() if after else 0) + 1


def reject_variants(fields: dict[str, Raw], known: frozenset[str]) -> None:
    """Reject names that differ from a known one only by case: some servers would take them for it.

    Case is folded as widely as Unicode allows, as Go's JSON reader does: it takes a long s (U+017F) for an s.
    """
    if known.issuperset(fields):
        return
    for key in fields:  # folding makes no name shorter, and is slow for a long one
        if key not in known and len(key) <= MAX_KNOWN and key.casefold() in known:
            raise rejection(f"unknown field {key!r}; did you mean {key.casefold()!r}?", key)


def _write_whole(fields: dict[str, Raw]) -> bool:
    """Write each whole number of the top level as an integer. Return whether there was one to write."""
    found = {}
    for name, raw in fields.items():
        text = bytes(memoryview(raw)[:_NUMBER_BYTES])
        if _FRACTION.fullmatch(text) and len(text) < _NUMBER_BYTES:
            number = float(text)
            if abs(number) < _EXACT and number.is_integer():
                found[name] = Raw(b"%d" % number)
    fields.update(found)
    return bool(found)


def check_shape(value: Raw, name: str, *shapes: str) -> None:
    """Reject a value that begins like none of these: `str`, `array`, `object`, `bool`, `null`. The value is not
    decoded, since each element of a long list would become an object."""
    view = memoryview(value)
    shape = _SHAPES.get(view[0], "number") if view.nbytes else shapes[0]
    if shape not in shapes:
        raise rejection(f"the field {name!r}: expected `{' | '.join(shapes)}`, got `{shape}`", name)


def read_typed(decoder: "msgspec.json.Decoder[T]", body: bytes, fields: dict[str, Raw]) -> T:
    """Decode the fields the gateway acts on; `fields` has their bytes as sent. Whole numbers may be written as
    fractions (`100.0`); they are made whole in `fields` too. Raises `Rejection` naming the field and the expected
    type."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if str(error).startswith("Expected `int") and _write_whole(fields):
            return read_typed(decoder, _ENCODER.encode(fields), {})
        message, _, place = str(error).partition(" - at `$.")
        param = place.rstrip("`") or None
        if match := re.search(r"missing required field `(\w+)`", message):
            param = f"{param}.{match[1]}" if param else match[1]
            raise rejection(f"the field {param!r} is required", param) from None
        at = f"the field {param!r}: " if param else ""
        raise rejection(f"{at}{message[0].lower()}{message[1:]}", param) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejection(Failure(failures.INVALID_JSON, f"the body is not valid JSON: {error}")) from None
