"""A reader of forms in pieces: it finds the fields that the gateway acts on, and passes on only bytes that it has
parsed. RFC 7578.

The gateway must send exactly what it decided on, and servers differ in how they read forms. Some take line feeds for
line ends, some the last of two names, some text before or after the form. So a form is rejected unless every part of it
can be read in one way only. A whole delimiter counts wherever it occurs. A part gives its name once and in plain
characters. No byte comes before the first part or after the last one.
"""

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.wire.json_object import rejection
from pointsman.wire.state import names_state

MAX_HEAD_BYTES = 8 * 1024  # of one part
MAX_VALUE_BYTES = 512  # of a field that the gateway acts on
FILE_HEAD_BYTES = 4 * 1024  # of the first file, which are kept

ADDRESS_BYTES = 64  # the beginning of a text, which shows whether it is an address
MAX_PARTS = 1_000
MAX_TYPE_BYTES = 1024  # of a content type

_BOUNDARY = r"[0-9A-Za-z'()+_,\-./:=?]{1,70}"
_CHARSET = r"(?:utf-?8|us-ascii|iso-8859-1)"  # these write the names of fields alike
_CONTENT_TYPE = re.compile(
    rf'multipart/form-data(?:[ \t]*+;[ \t]*+(?:boundary=("?)(?P<boundary>{_BOUNDARY})\1'
    rf'|charset=("?){_CHARSET}\3))*[ \t]*+;?[ \t]*+',
    re.IGNORECASE,
)
# All patterns are possessive: backtracking over a text that does not match would take the square of its length.
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)")
_PARAMETER = (
    rb'[ \t]*+;[ \t]*+([A-Za-z]++\*?)=("(?:[^"\\]++|\\[^"])*+"|[^\s;"\\]++)'  # an escaped quotation mark: many read on
)
_PARAMETERS = re.compile(_PARAMETER)
_DISPOSITION = re.compile(rb"form-data(?:%b)++[ \t]*+" % _PARAMETER, re.IGNORECASE)
_KNOWN = ([b"name"], [b"filename", b"name"], [b"filename*", b"name"], [b"filename", b"filename*", b"name"])
_NAME = re.compile(rb'("?)([\w.\-\[\]]+)\1', re.ASCII)
_ANOTHER_NAME = re.compile(rb"name[\s*\d]*+=", re.IGNORECASE)  # in a file's name, for servers that ignore quotes
_PATH = re.compile(r"[\[\].]+")  # some servers split a name at these: `model[]`, `[model]`
_PLAIN_ID = re.compile(r"[\w\-.:~]+", re.ASCII)
_IDENTITY = (b"", b"7bit", b"8bit", b"binary")
_TEXT = re.compile(rb'(?:text/plain(?:[ \t]*+;[ \t]*+charset=("?)%b\1)?)?[ \t]*' % _CHARSET.encode(), re.IGNORECASE)


class FormField(Struct, frozen=True):
    """A field that the gateway acts on, and the position of its value in the form's bytes."""

    value: str
    start: int
    end: int


class ReadForm(Struct, frozen=True, kw_only=True):
    """The part of a form that was read: the `values` of fields that the gateway acts on, the number of files with
    their bytes, the beginning of the first, the fields that name stored objects, and those that hold the address of
    content. `is_whole` says that it is all of the form."""

    values: dict[str, str] = {}
    files: int = 0
    file_bytes: int = 0
    file_head: bytes = b""
    named: tuple[tuple[str, str], ...] = ()
    remote: tuple[str, ...] = ()
    is_whole: bool = False


NO_FORM = ReadForm()


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a `multipart/form-data` content type; `None` for any other type. Raises `Rejection`."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    match = _CONTENT_TYPE.fullmatch(content_type) if len(content_type) <= MAX_TYPE_BYTES else None
    if match is None or content_type.lower().count("boundary=") != 1:
        message = f"the content type {content_type[:200]!r} must have one boundary, and no other parameter than charset"
        raise rejection(message, "content-type")
    return match["boundary"].encode("ascii")


class FormReader:
    """Takes a form piece by piece. `fields` are those of `wanted`, `optional` and `late` that have ended. Fields of
    `late` may also follow the decision, if they did not precede it; nothing depends on them then. `files` counts the
    files so far, `file_bytes` the bytes of them that were parsed, and `file_head` is the beginning of the first.

    Until `decide` is called, nothing is read after the last of the wanted fields. The decision therefore does not
    depend on how the form is cut. With `reads_on` the form is read to its end. With `finds_state`, `named` are the
    fields that name objects stored by a provider, each with its one id. `remote` are the texts that hold an address of
    content: `is_remote` decides on that by the name of a field and the beginning of its text.
    """

    def __init__(
        self,
        boundary: bytes,
        wanted: frozenset[str] = frozenset({"model"}),
        *,
        optional: frozenset[str] = frozenset(),
        late: frozenset[str] = frozenset(),
        reads_on: bool = False,
        finds_state: bool = False,
        is_remote: Callable[[str, bytes], bool] = lambda name, beginning: False,  # noqa: ARG005
    ) -> None:
        self.fields: dict[str, FormField] = {}
        self.files = 0
        self.file_bytes = 0
        self.file_head = b""
        self._needed = wanted
        self._wanted = wanted | optional | late
        self._late = late
        self._reads_on = reads_on
        self.named: list[tuple[str, str]] = []
        self._finds_state = finds_state
        self.remote: list[str] = []
        self._is_remote = is_remote
        self._text = ""  # the name of a text whose beginning was not looked at yet
        self._is_decided = False
        self._delimiter = b"--" + boundary
        # The first delimiter is due; in the content of a part; between a delimiter and content; after the last one.
        self._phase: Literal["start", "content", "delimiter", "end"] = "start"
        self._held = bytearray()  # not parsed yet
        self._offset = 0  # of the held bytes, in the form
        self._parts = 0
        self._name = ""  # of the wanted field that is being read
        self._is_file = False  # the current part is a file

    def is_settled(self) -> bool:
        """Return whether no further field can change the decision."""
        return not self._reads_on and self._needed <= self.fields.keys()

    def feed(self, data: bytes) -> bytes:
        """Take `data`, and return the bytes of the form that may be passed on. Raises `Rejection`."""
        held = self._held
        held += data
        at = 0  # parsed up to here
        while (self._is_decided or not self.is_settled()) and (then := self._read(at)) is not None:
            at = then
        understood = bytes(held[:at])
        del held[:at]
        self._offset += at
        return understood

    def decide(self) -> None:
        """Note that the gateway acts on the fields known so far: none of the other wanted fields may follow."""
        self._is_decided = True

    def read(self) -> ReadForm:
        """Return what was read so far."""
        return ReadForm(
            values={name: field.value for name, field in self.fields.items()},
            files=self.files,
            file_bytes=self.file_bytes,
            file_head=self.file_head,
            named=tuple(self.named),
            remote=tuple(dict.fromkeys(self.remote)),
            is_whole=self._phase == "end",
        )

    def end(self) -> None:
        """Note the end of the body. Raises `Rejection` unless the form is whole."""
        if self._phase != "end":
            raise rejection("the form is incomplete; end it with its last delimiter, --boundary--")

    def _read(self, at: int) -> int | None:
        """Read on from `at`. Return the next position, or `None` if more bytes are needed."""
        held, phase = self._held, self._phase
        if phase == "content":
            return self._read_content(at)
        if phase == "end":
            if held[at:].strip(b"\r\n"):
                raise rejection("the form continues after its last delimiter; remove the rest")
            return len(held) if len(held) > at else None
        begin = at + (len(b"\r\n") if phase == "delimiter" else 0)
        after = begin + len(self._delimiter)
        if len(held) < after + 2:
            return None
        if not held.startswith(self._delimiter, begin):
            raise rejection(
                "the form does not begin with the boundary that its content type names; send that boundary first"
            )
        if held.startswith(b"--", after):
            self._phase = "end"
            return after + 2
        return self._read_head(after)

    def _read_content(self, start: int) -> int | None:
        """Find the delimiter after the content of a part. A wanted field is kept until then."""
        held, delimiter = self._held, self._delimiter
        found = held.find(delimiter, start)
        end = (found if found >= 0 else len(held) - len(delimiter) + 1) - len(b"\r\n")
        if self._name and end > start + MAX_VALUE_BYTES:
            raise rejection(f"the field {self._name!r} is too long; send at most {MAX_VALUE_BYTES} bytes", self._name)
        if self._text and (found >= 0 or end >= start + ADDRESS_BYTES):
            self._look_at(bytes(held[start : min(end, start + ADDRESS_BYTES)]))
        if found < 0:
            if end <= start or self._name or self._text:
                return None
            self._count_file(start, end)
            return end
        if end < start or held[end:found] != b"\r\n":
            raise rejection("a part of the form holds the boundary; choose a boundary that no part contains")
        if self._name:
            self._take_field(start, end)
        self._count_file(start, end)
        self._phase = "delimiter"
        return end

    def _read_head(self, after: int) -> int | None:
        held = self._held
        end = held.find(b"\r\n\r\n", after)
        if (end if end >= 0 else len(held)) > after + MAX_HEAD_BYTES:
            raise rejection(f"a part of the form has too long headers; send at most {MAX_HEAD_BYTES} bytes")
        if end < 0:
            return None
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise rejection(f"the form has too many parts; send at most {MAX_PARTS}")
        if not held.startswith(b"\r\n", after):
            raise rejection("a boundary of the form is not followed by a line end; send CRLF after each boundary")
        name, is_file, is_text = _read_part(bytes(held[after + 2 : end]))
        self._is_file = is_file
        self._text = "" if is_file else name
        self.files += is_file
        if name in self._wanted or (self._finds_state and names_state(name)):
            self._check_field(name, is_plain=is_text and not is_file)
            self._name = name
        elif (likely := next(filter(None, _PATH.split(name.lower())), "")) in self._wanted:
            raise rejection(f"unknown field {name!r}; did you mean {likely!r}?", name)
        self._phase = "content"
        return end + len(b"\r\n\r\n")

    def _count_file(self, start: int, end: int) -> None:
        if self._is_file:
            self.file_bytes += end - start
            if self.files == 1 and len(self.file_head) < FILE_HEAD_BYTES:
                self.file_head += self._held[start : min(end, start + FILE_HEAD_BYTES - len(self.file_head))]

    def _look_at(self, beginning: bytes) -> None:
        """Note a text that holds an address of content. It must precede the decision, which depends on it."""
        name, self._text = self._text, ""
        if self._is_remote(name, beginning):
            if self._is_decided and name not in self.remote:
                raise rejection(
                    f"the field {name!r} holds an address and comes too late in the form; send it before the files",
                    name,
                )
            self.remote.append(name)

    def _check_field(self, name: str, *, is_plain: bool) -> None:
        if name in self.fields:
            raise rejection(f"the field {name!r} appears more than once; send it once", name)
        if self._is_decided and name not in self._late:
            place = "before the file" if name in self._wanted else "at the beginning"
            raise rejection(f"the field {name!r} comes too late in the form; send it {place}", name)
        if not is_plain:
            raise rejection(
                f"the field {name!r} must be plain text; send it without a file name and with no other content type",
                name,
            )

    def _take_field(self, start: int, end: int) -> None:
        name, self._name = self._name, ""
        try:
            value = self._held[start:end].decode()
        except UnicodeDecodeError:
            raise rejection(f"the field {name!r} must be valid UTF-8", name) from None
        if not value:
            raise rejection(f"the field {name!r} is empty; set it or leave it out", name)
        if name not in self._wanted:
            if not _PLAIN_ID.fullmatch(value):
                raise rejection(f"the field {name!r} must hold exactly one id; send several ids in a JSON body", name)
            self.named.append((name, value))
            return
        self.fields[name] = FormField(value, self._offset + start, self._offset + end)


def _read_part(head: bytes) -> tuple[str, bool, bool]:
    """Return the name of a part, whether it is a file, and whether it is plain text. Raises `Rejection`."""
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        match = _HEADER.fullmatch(line)
        if match is None or match[1].lower() in headers:
            raise _ambiguous(line)
        headers[match[1].lower()] = match[2]
    disposition = headers.get(b"content-disposition", b"")
    if not _DISPOSITION.fullmatch(disposition):
        raise _ambiguous(disposition)
    parameters = sorted((name.lower(), value) for name, value in _PARAMETERS.findall(disposition))
    name = _NAME.fullmatch(dict(parameters).get(b"name", b""))
    files = [value for parameter, value in parameters if parameter != b"name"]
    if (
        [parameter for parameter, _ in parameters] not in _KNOWN
        or name is None
        or any(map(_ANOTHER_NAME.search, files))
    ):
        raise _ambiguous(disposition)
    encoding = headers.get(b"content-transfer-encoding", b"")
    if encoding.lower() not in _IDENTITY:
        raise _ambiguous(encoding)
    return name[2].decode(), bool(files), _TEXT.fullmatch(headers.get(b"content-type", b"")) is not None


def _ambiguous(text: bytes) -> Rejection:
    shown = text[:100].decode("utf-8", "replace")
    message = "a part of the form has malformed, repeated or ambiguous headers; send each once, with one plain name"
    return Rejection(Failure(failures.INVALID_REQUEST, message, quote=repr(shown)))
