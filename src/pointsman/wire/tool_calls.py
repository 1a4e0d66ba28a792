"""Calls of tools as dialects write them that take an object as arguments, and only certain ids."""

import hashlib
import re

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.json_object import UNREADABLE, is_empty

LONGEST = 1024  # characters of an id, unless the provider takes fewer
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_ID = re.compile(r"[^a-zA-Z0-9_-]")
_DIGITS = 8  # of the hash in an id that is replaced
_SUFFIX = 6  # characters at most that make an id unique
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def tool_input(arguments: str) -> object:
    """Return the arguments of a call as an object. Text that is no object is wrapped, as Anthropic advises:
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming (`Handling invalid
    JSON`)."""
    if not arguments.strip():
        return {}
    encoded = arguments.encode("utf-8", "replace")
    try:
        _OBJECT.decode(encoded)
    except UNREADABLE:
        return {"INVALID_JSON": arguments}
    return Raw(encoded.strip())


def compact(given: Raw) -> str:
    """Return the arguments of a call without white space; an empty object if there are none. Raises one of
    `json_object.UNREADABLE` if they are no object."""
    if is_empty(given):
        return "{}"
    _OBJECT.decode(given)
    return msgspec.json.format(bytes(given), indent=-1).decode()


class OpenCall(Struct):
    """A call of a tool, with its arguments so far."""

    id: str
    name: str
    arguments: list[str]
    checked: int = 0  # parts of the arguments, at the last check
    was_complete: bool = False

    def is_complete(self) -> bool:
        """Return whether the arguments are a whole object, which no more can follow."""
        if self.checked != len(self.arguments):
            self.checked = len(self.arguments)
            self.was_complete = isinstance(tool_input("".join(self.arguments)), Raw)
        return self.was_complete


class CallIds:
    """The ids of calls as they are written: of the letters and the length that a provider takes, and each only
    once. Some servers count the calls of each answer from 0."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._used: set[str] = set()
        self._open: dict[str, list[str]] = {}  # the calls without a result, by the client's id
        self._last: dict[str, str] = {}

    def of_call(self, name: str) -> str:
        """Return the id of a new call."""
        written = name
        if _ID.fullmatch(name) is None or len(name) > self._longest:
            kept = _NOT_ID.sub("_", name)[: self._longest - _DIGITS - 1]
            written = f"{kept}_{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"
        plain, count = written[: self._longest - _SUFFIX], 1
        while written in self._used:
            count += 1
            written = f"{plain}-{count}"
        self._used.add(written)
        self._open.setdefault(name, []).append(written)
        self._last[name] = written
        return written

    def of_result(self, name: str) -> str:
        """Return the id of the call that a result answers."""
        waiting = self._open.get(name)
        if waiting:
            return waiting.pop(0)
        return self._last[name] if name in self._last else self.of_call(name)
