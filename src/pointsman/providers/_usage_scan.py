"""Find the usage in an answer, at any place in it, while the answer passes through.

https://platform.openai.com/docs/api-reference/responses/object, …/responses-streaming, …/images-streaming,
…/audio/transcript-text-done-event

The valid `usage` is a field of the answer itself, or of the `response` in an event. Its place differs. OpenAI writes it
near the end, SGLang before `instructions` and `tools`, which may be longer than all the rest. So the scan reads the
structure, not the end. It goes token by token, with a regular expression, in memory that does not grow with the answer.
The texts of an answer are skipped whole.
"""

import re

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.sse import BYTE_ORDER_MARK, event_data, split_events
from pointsman.wire.usage import MAX_USAGE_BYTES, read_usage

MAX_BRACKETS = 10_000  # open ones in one piece: so many take tens of milliseconds, and no answer has them
_FIELD_BYTES = 256  # a field of interest with the beginning of its value: the scan waits for this many bytes

_TOKEN = re.compile(rb'["{}\[\]]')
_REST_OF_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_CALL = re.compile(rb'"type"[ \t\r\n]*+:[ \t\r\n]*+"(\w{1,59}_call)"')
_WORD = re.compile(rb'"([\w.\-]{1,64})"')
_OPEN, _QUOTE, _BACKSLASH = frozenset(b"{["), ord('"'), ord("\\")
_NAMES = frozenset({b'"usage"', b'"type"', b'"service_tier"', b'"response"', b'"output"'})
_LONGEST_NAME = max(map(len, _NAMES))
_ITEM_DONE = "response.output_item.done"


class JsonScan:
    """A scan of a JSON text that arrives in pieces of any size. `usage` is the last object of that name at the top, or
    in `response`. `tier` is the service tier beside it, and `kind` is the text's own `type`. `calls` counts the objects
    whose `type` ends in `_call`, at any depth. In the `output` of a response these are calls of tools."""

    def __init__(self) -> None:
        self.usage: bytes | None = None
        self.tier: str | None = None
        self.kind = ""
        self.calls: dict[str, int] = {}
        self.has_output = False
        self._held = b""  # not parsed yet
        self._is_in_text = False
        self._is_lost = False
        self._depth = 0
        self._response_depth = 0  # of the fields of `response`, while it is open
        self._usage_depth = 0  # of the `usage` that is being collected
        self._collected = b""

    def feed(self, data: bytes, *, is_last: bool = False) -> None:
        """Scan the next piece."""
        text = self._held + data if self._held else data
        if self._is_lost or text.count(b"[") + text.count(b"{") > MAX_BRACKETS:
            self._is_lost, self.usage, self._held = True, None, b""
            return
        begun_at = 0 if self._usage_depth else -1  # of the part of `usage` that is in `text`
        end, at = len(text), 0
        if self._is_in_text:
            at = self._end_of_text(text, 0)
            self._is_in_text = not at
        while not self._is_in_text:
            token = _TOKEN.search(text, at)
            if token is None:
                break
            start = token.start()
            at = start + 1
            first = text[start]
            if first == _QUOTE:
                at = self._end_of_text(text, start + 1)
                if not at or (at - start <= _LONGEST_NAME and text[start:at] in _NAMES):
                    if not is_last and len(text) - start < _FIELD_BYTES:
                        end = start  # it may be a name: wait for the next bytes
                        break
                    if at:
                        self._read_field(text[start:at], text, at)
                    self._is_in_text = not at
            elif first in _OPEN:
                self._depth += 1
                if self._usage_depth == self._depth:
                    begun_at = start
            else:
                if self._close(text, begun_at, at):
                    begun_at = -1
                self._depth -= 1
        if self._is_in_text:
            end -= (len(text) - len(text.rstrip(b"\\"))) % 2  # half of an escape
        self._held = text[end:]
        if begun_at >= 0:
            self._collect(text[begun_at:end])

    def read(self) -> Usage | None:
        """Return the usage, after the end of the text."""
        if self._held:
            self.feed(b"", is_last=True)
        if self.usage is None:
            return None
        return billed_usage(Raw(self.usage), self.tier, self.calls if self.has_output and not self._depth else None)

    @property
    def is_whole(self) -> bool:
        """True if the text ended at a valid place, or if its end can no longer be determined."""
        return self._is_lost or not (self._is_in_text or self._depth)

    def _close(self, text: bytes, begun_at: int, at: int) -> bool:
        """Close an object or list that ends at `at`. Return whether it was the usage that began at `begun_at`."""
        if self._usage_depth == self._depth and begun_at >= 0:
            self._take_usage(text[begun_at:at])
            return True
        if self._response_depth == self._depth:
            self._response_depth = 0
        return False

    def _end_of_text(self, text: bytes, start: int) -> int:
        """Return the end of the text that continues at `start`, after its quotation mark; 0 if it does not end yet."""
        at = text.find(b'"', start)
        if at <= start or text[at - 1] != _BACKSLASH:
            return at + 1
        match = _REST_OF_TEXT.match(text, start)
        return match.end() if match is not None else 0

    def _read_field(self, name: bytes, text: bytes, end: int) -> None:
        """Read the value of a field of interest whose name ends at `end`."""
        colon = _COLON.match(text, end)
        if colon is None:
            return
        at, depth = colon.end(), self._depth
        if name == b'"type"':
            word = _WORD.match(text, at)
            if word is not None:
                kind = word[1].decode("ascii", "replace")
                if depth == 1:
                    self.kind = kind
                if kind.endswith("_call"):
                    self.calls[kind] = self.calls.get(kind, 0) + 1
        elif depth not in (1, self._response_depth) or not depth:
            return
        elif name == b'"output"':
            self.has_output = True
        elif name == b'"usage"':
            if text.startswith(b"{", at):
                self._usage_depth, self._collected = depth + 1, b""
        elif name == b'"response"':
            if depth == 1 and text.startswith(b"{", at):
                self._response_depth = 2
        elif word := _WORD.match(text, at):
            self.tier = word[1].decode("ascii", "replace")

    def _collect(self, part: bytes) -> None:
        self._collected += part
        if len(self._collected) > MAX_USAGE_BYTES:
            self._usage_depth, self._collected = 0, b""

    def _take_usage(self, part: bytes) -> None:
        usage = self._collected + part
        if len(usage) <= MAX_USAGE_BYTES:
            self.usage = usage
        self._usage_depth, self._collected = 0, b""


class EventsScan:
    """A scan for usage in the events of a stream."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.calls: dict[str, int] = {}

    def take(self, whole: bytes) -> None:
        """Scan whole events. Nearly all have no usage, and are passed over after a search for its name."""
        if _may_have_usage(whole):
            for event in split_events(whole):
                data = event_data(event) if _may_have_usage(event) else None
                if data is not None:
                    self._take(data)

    def _take(self, data: bytes) -> None:
        scan = JsonScan()
        scan.feed(data)
        usage = scan.read()
        if usage is not None:
            if scan.calls or not self.calls:
                self.calls = scan.calls
            else:  # of the calls in earlier events
                usage = billed_usage(Raw(scan.usage or b""), scan.tier, self.calls) or usage
            self.usage = usage
        elif scan.kind == _ITEM_DONE:
            for kind, count in scan.calls.items():
                self.calls[kind] = self.calls.get(kind, 0) + count


def _may_have_usage(data: bytes) -> bool:
    return data.find(b'"usage"') >= 0 or data.find(b'_call"') >= 0


class _BilledAnswer(Struct, gc=False):
    usage: Raw = Raw(b"")
    service_tier: Raw = Raw(b"")
    output: Raw | None = None


class _Whole(_BilledAnswer, gc=False):
    response: Raw = Raw(b"")


_WHOLE = msgspec.json.Decoder(_Whole)


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in a whole JSON answer, or in the data of one event."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        whole = _WHOLE.decode(body)
    except UNREADABLE:
        scan = JsonScan()
        scan.feed(body, is_last=True)
        return scan.read()
    inner = bytes(whole.response)
    if inner.startswith(b"{"):
        return usage_in(inner)
    calls: dict[str, int] | None = None if whole.output is None else {}
    if calls is not None and body.find(b'_call"') >= 0:  # in a text its quotation mark would be escaped
        for kind in _CALL.findall(body):
            name = kind.decode("ascii", "replace")
            calls[name] = calls.get(name, 0) + 1
    return billed_usage(whole.usage, _word(whole.service_tier), calls)


def _word(raw: Raw) -> str | None:
    word = _WORD.fullmatch(raw)
    return word[1].decode("ascii", "replace") if word is not None else None


def billed_usage(usage: Raw, tier: str | None, calls: dict[str, int] | None) -> Usage | None:
    """Return a usage that counts tokens, else `None`; one in seconds, for example, is not valid. `calls` are those of
    tools in the answer, `None` if the answer does not show them. The usage's own count of them outranks it."""
    read = read_usage(usage, tier)
    if read is None or not (read.tokens_in or read.tokens_out):
        return None
    if read.tools is None and calls is not None:
        read = replace(read, tools=tuple((kind.removesuffix("_call"), count) for kind, count in calls.items()))
    return read
