"""One spelling of the fields of a request: JSON for protocol buffers allows `camelCase` and `snake_case` for each name.

https://protobuf.dev/programming-guides/json/#field-names. Google's own SDKs mix both in one request. All code behind
the parser reads `camelCase` only, so what the gateway checks is what a provider reads. A field in both spellings is
rejected. Names inside a client's own data, such as arguments and schemas, stay as they are.

Google also takes a single object for a list of one, and writes `contents`, `parts` and `tools` so in its own examples:
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/start/api-keys. It becomes a list.
"""

import re

import msgspec
from msgspec import Raw

from pointsman.wire.json_object import UNREADABLE, encode_object, rejection

MAX_DEPTH = 12  # of objects and lists: the fields that the gateway reads are at depth 8 at most

_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_ANY_SNAKE = re.compile(rb'"[a-z][a-z0-9]*(?:_[a-z0-9]+)+"[ \t\r\n]*:')
_OWN_DATA = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"}
    | {"fallbacks"}
)
_REPEATED = frozenset({"contents", "parts", "tools", "safetySettings", "functionDeclarations", "requests"})
_SINGLE = re.compile(rb'"(?:%b)"[ \t\r\n]*:[ \t\r\n]*\{' % "|".join(sorted(_REPEATED)).encode("ascii"))
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


def camel(name: str) -> str:
    """Return the first spelling of a name."""
    first, *others = name.split("_")
    return first + "".join([part[:1].upper() + part[1:] for part in others])


def in_one_spelling(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields of a body with all names in `camelCase`. Other values keep their bytes. Raises `Rejection`
    for a field in two spellings."""
    found = _renamed(fields, "")
    for name, raw in found.items():
        if name not in _OWN_DATA:
            found[name] = _as_list(name, _walked(raw, name, 1))
    return found


def _as_list(name: str, raw: Raw) -> Raw:
    """Return the value of a repeated field as a list."""
    is_single = name in _REPEATED and bytes(memoryview(raw)[:1]) == b"{"
    return Raw(b"[%b]" % bytes(raw)) if is_single else raw


def _renamed(fields: dict[str, Raw], place: str) -> dict[str, Raw]:
    if not any("_" in name for name in fields):
        return fields
    found: dict[str, Raw] = {}
    for name, raw in fields.items():
        new = camel(name) if _SNAKE.fullmatch(name) else name
        if new in found:
            raise rejection(f"the field {place}{new} appears in two spellings; send it once", place + new)
        found[new] = raw
    return found


def _walked(raw: Raw, place: str, depth: int) -> Raw:
    first = bytes(memoryview(raw)[:1])
    if depth > MAX_DEPTH or first not in (b"{", b"[") or not (_ANY_SNAKE.search(raw) or _SINGLE.search(raw)):
        return raw
    try:
        if first == b"[":
            return Raw(encode_object([_walked(one, place, depth + 1) for one in _LIST.decode(raw)]))
        fields = _renamed(_OBJECT.decode(raw), f"{place}.")
    except UNREADABLE:
        return raw
    return Raw(
        encode_object(
            {
                name: one if name in _OWN_DATA else _as_list(name, _walked(one, f"{place}.{name}", depth + 1))
                for name, one in fields.items()
            }
        )
    )
