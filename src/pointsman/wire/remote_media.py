"""Images and documents by their addresses in a conversation, and the same conversation with their content.

| part | dialect |
|---|---|
| `image_url`, and `file` with an address as its data | chat completions |
| `input_image`, `input_file` with `file_url` | responses |
| `image` and `document` with a source of type `url` | Messages |
| `fileData` | Gemini |

https://platform.openai.com/docs/guides/images-vision, https://platform.openai.com/docs/guides/pdf-files,
https://platform.claude.com/docs/en/build-with-claude/vision, https://ai.google.dev/api/caching#FileData. The content
decides on the type of what was fetched, since servers often state a wrong one.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.wire import PATHS
from pointsman.wire.dialects.gemini.models import ONLY_FOR_GOOGLE
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.paths import ParsedHead

_FIELDS = ("messages", "input", "system", "contents")
# The fields with parts: of turns, results of tools and documents, and of the fields in these that hold them.
_HOLDERS, _INNER = ("content", "output", "parts"), ("source", "functionResponse")
_PDF = "application/pdf"
_SIGNS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", _PDF),
)


class Content(Struct, frozen=True):
    """The content at an address, in base64."""

    media_type: str
    data: str


# Returns the content of an address; `None` leaves the part as it is. The second argument says that it must be an image.
Find = Callable[[str, bool], Content | None]


def type_of(data: bytes) -> str | None:
    """Return the media type of an image or a PDF by its first bytes, `None` for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for sign, kind in _SIGNS if data.startswith(sign)), None)


def addresses_in(call: Call) -> dict[str, bool]:
    """Return the addresses in a conversation, each with whether it must be an image. An unreadable field has none."""
    found: dict[str, bool] = {}

    def note(address: str, is_image: bool) -> None:
        found[address] = found.get(address, False) or is_image

    for name in _FIELDS:
        if name in call.fields:
            try:
                _walk(msgspec.json.decode(call.fields[name]), note)
            except UNREADABLE:
                continue
    return found


def with_contents(call: Call, contents: Mapping[str, Content]) -> Call:
    """Return a call with the contents in place of their addresses. Raises `Rejection` if it is not valid then."""
    fields = dict(call.fields)
    for name in _FIELDS:
        if name in fields:
            value = msgspec.json.decode(fields[name])
            _walk(value, lambda address, _: contents.get(address))
            fields[name] = Raw(encode_object(value))
    path = call.head.path.partition("?")[0]
    api = next(one for one in PATHS if one.path == path and call.head.method in one.methods)
    assert api.parse is not None
    parsed = api.parse(ParsedHead(api, call.head, call.snapshot), encode_object(fields))
    added = sum(len(raw) for raw in fields.values()) - sum(len(raw) for raw in call.fields.values())
    return replace(call, fields=fields, media=parsed.media, size=call.size + added)


def _walk(parts: Any, find: Find) -> None:
    """Take the parts of a list, and those in them. Arguments of tools may look like parts, and are none."""
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            _part(part, find)
            inner = [part.get(name) for name in _INNER]
            for holder in (part, *[one for one in inner if isinstance(one, dict)]):
                for name in _HOLDERS:
                    _walk(holder.get(name), find)


def _part(part: dict[str, Any], find: Find) -> None:
    """Replace the address in a part, if it has one."""
    if isinstance(part.get("fileData"), dict):
        _file_data(part, part["fileData"], find)
    match part.get("type"):
        case "image_url":
            inner = part.get("image_url")
            if isinstance(inner, dict):
                _in_field(inner, "url", find, is_image=True)
            else:
                _in_field(part, "image_url", find, is_image=True)
        case "input_image":
            _in_field(part, "image_url", find, is_image=True)
        case "file":
            if isinstance(part.get("file"), dict):
                _in_field(part["file"], "file_data", find, is_image=False)
        case "input_file":
            _input_file(part, find)
        case "image" | "document" as kind:
            _source(part.get("source"), find, is_image=kind == "image")


def _in_field(holder: dict[str, Any], name: str, find: Find, *, is_image: bool) -> None:
    address = _address(holder.get(name))
    content = find(address, is_image) if address else None
    if content is not None:
        holder[name] = f"data:{content.media_type};base64,{content.data}"


def _input_file(part: dict[str, Any], find: Find) -> None:
    address = _address(part.get("file_url"))
    content = find(address, False) if address else None
    if content is not None:
        del part["file_url"]
        part["file_data"] = f"data:{content.media_type};base64,{content.data}"
        part.setdefault("filename", urlsplit(address).path.rpartition("/")[2] or "document.pdf")


def _source(source: Any, find: Find, *, is_image: bool) -> None:
    address = _address(source.get("url")) if isinstance(source, dict) and source.get("type") == "url" else ""
    content = find(address, is_image) if address else None
    if content is not None:
        del source["url"]
        source |= {"type": "base64", "media_type": content.media_type, "data": content.data}


def _file_data(part: dict[str, Any], file: dict[str, Any], find: Find) -> None:
    address = _address(file.get("fileUri"))
    if address.startswith(ONLY_FOR_GOOGLE):
        return
    is_image = str(file.get("mimeType", "")).startswith("image/")
    content = find(address, is_image) if address else None
    if content is not None:
        del part["fileData"]
        part["inlineData"] = {"mimeType": content.media_type, "data": content.data}


def _address(value: object) -> str:
    """Return an address of the web; empty for anything else."""
    return value if isinstance(value, str) and value[:8].lower().startswith(("https://", "http://")) else ""
