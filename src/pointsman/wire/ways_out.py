"""The ways by which a request may send content beyond its provider: tools that the provider runs, and addresses that it
fetches.

| in the request | name of the way |
|---|---|
| `tools` other than those that the client runs, also in assistants, runs and evals | the tool's type, without a date |
| `tools` of Gemini that Google runs | the name of the tool, such as `googleSearch` |
| a tool for an MCP server, `mcp_servers` | `mcp:` and the host of the server, or the connector |
| `web_search_options`, `enable_search`, `web_search`, `search_parameters`, `plugins` | as in `wire.unbounded` |
| `models`, `preset`, `provider` of OpenRouter | the field: another host answers |
| `inference_geo` of Anthropic | the field: another region may answer |
| `prompt` of a response | `stored_prompts`: it may have tools |
| an image, a file, a recording or a video by its address, a webhook | `remote_urls` |
| `integrations` of a fine-tuning job | `integrations` |
| a batch, whose lines the gateway does not read | `batches` |

An address is found by the name of its field, at any depth. Fields whose names end with `url` or `uri` hold one, and so
do those of media. A text of a form is found in the same way, and in any field but those for prompts if it begins as an
address of the web. The results of earlier searches and the arguments of tools are text, so they are not searched.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.domain.failures import Rejection
from pointsman.domain.urls import without_secrets
from pointsman.wire.bounds import SMALL_BYTES, count_names
from pointsman.wire.json_object import UNREADABLE, is_empty, read_object
from pointsman.wire.state import DATA, members_in
from pointsman.wire.unbounded import services_in, tool_name

REMOTE, BATCHES, MCP, UNKNOWN = "remote_urls", "batches", "mcp", "unknown"

_SERVICES = frozenset({"web_search_options", "enable_search", "web_search", "search_parameters", "plugins"})
_HOSTS = frozenset({"models", "preset", "provider", "inference_geo"})
_SERVERS = "mcp_servers"  # of Anthropic
_FIELDS = _SERVICES | _HOSTS | {"tools", "integrations", _SERVERS}
_SEARCHED = frozenset({"image", "audio", "file", "batch", "other"})  # operations with small bodies of any shape
_NOT_SEARCHED = frozenset({"tools", "functions", "response_format", "text", "tool_choice", "model", _SERVERS})
_MEDIA = frozenset(
    {"image", "images", "audio", "video", "videos", "file", "files", "mask", "document", "ref_audio", "source"}
    | {"reference_images", "input_references", "input_reference"}
)
_RECORDINGS = frozenset({"audio", "input_audio"})
_CALLS = frozenset({"functioncall", "functionresponse"})  # of Gemini
_SKIPPED = DATA | {"annotations", "citations", "server_url"}
# Parts and items that are texts of the client or results of an earlier answer: nothing fetches what they name.
_TEXTS = frozenset(
    {"url_citation", "web_search_result", "web_search_tool_result", "web_search_call", "search_result", "tool_use"}
    | {"server_tool_use", "mcp_tool_use", "text", "input_text", "output_text"}
)
_MARKS = (b'url"', b'urls"', b'uri"', b'URL"', b'Url"', b'URI"', b'Uri"', b'tools"')
_MEDIA_MARKS = (b'image"', b'images"', b'audio"', b'video"', b'document"', b'file"')  # ends of names
_WITH_MEDIA = frozenset({"embedding", "rerank"})  # operations on texts, or on media by address at some servers
_ESCAPES = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")  # of letters, which no honest client writes like that
_NO_TOOLS = frozenset({b"null", b"[]"})
_ABSENT = Raw(b"")
_MAX_DEPTH = 4  # of groups of tools
_MOST_CHARS = 64  # of a text that is searched: an address shows its scheme at its beginning
_DATA_MARKS = (b'"data:', b'"data":"', b'"data": "')
_PROMPTS = frozenset({"prompt", "negative_prompt", "input", "text", "instructions", "user"})  # of forms
_PATH = re.compile(r"[\[\].]+")  # between the parts of a form's name, such as `image[]`
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")
_SERVER = re.compile(r"https?://([A-Za-z0-9.-]{1,253}(?::\d{1,5})?)(?:[/?#].*)?", re.DOTALL)


class WayOut(Struct, frozen=True, gc=False):
    """One way out. `field` is the field of the request, and `address` the address in it, if it has one."""

    name: str
    field: str
    address: str = ""


class _AnyTool(Struct, kw_only=True, gc=False):
    type: str = ""
    name: Raw = Raw(b"")
    function: Raw = Raw(b"")
    environment: Raw = Raw(b"")
    server_url: str | None = None
    connector_id: str | None = None
    input_image_mask: Raw = Raw(b"")
    tools: Raw = Raw(b"")


class _Typed(Struct, gc=False):
    type: str = ""


class _AnyServer(Struct, gc=False):
    url: str = ""


_SERVER_AT = msgspec.json.Decoder(_AnyServer)
_ITEMS = msgspec.json.Decoder(list[Raw])
_TOOL = msgspec.json.Decoder(_AnyTool)
_TYPED = msgspec.json.Decoder(_Typed)
_OF_CLIENTS = frozenset({"functionDeclarations", "computerUse"})
_OF_GEMINI = _OF_CLIENTS | {
    *("googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "googleMaps", "fileSearch")
}
_READ = frozenset(_AnyTool.__struct_fields__)


def ways_out_of(call: Call) -> tuple[WayOut, ...]:
    """Return the ways out of a request, which is empty for most."""
    found: list[WayOut] = []
    if not call.fields:  # a form, or no body
        return tuple([WayOut(REMOTE, name) for name in call.remote])
    fields = {name.casefold(): raw for name, raw in call.fields.items()}  # some servers take any case
    if len(fields) < len(call.fields):
        found.append(WayOut(UNKNOWN, "a name in two spellings"))
    if not _FIELDS.isdisjoint(fields):
        if "tools" in fields:
            found += _of_tools(bytes(fields["tools"]), "tools")
        found += [WayOut(use.tool, use.field) for use in services_in(fields) if use.field in _SERVICES]
        found += [WayOut(name, name) for name in sorted(_HOSTS) if not is_empty(fields.get(name, _ABSENT))]
        if not is_empty(fields.get(_SERVERS, _ABSENT)):
            found += _of_servers(bytes(fields[_SERVERS]))
        if not is_empty(fields.get("integrations", _ABSENT)):
            found.append(WayOut("integrations", "integrations"))
    if call.operation == "responses" and not is_empty(fields.get("prompt", _ABSENT)):
        found.append(WayOut("stored_prompts", "prompt"))
    if call.operation == "batch":
        found.append(WayOut(BATCHES, "input_file_id"))
    is_searched = call.operation in _SEARCHED or call.media != NO_MEDIA
    for name, raw in fields.items():
        if name in _NOT_SEARCHED or name in _SKIPPED:
            continue
        text = bytes(raw)
        if is_searched or _may_hold(text) or (call.operation in _WITH_MEDIA and _may_hold_media(text)):
            found += _in_field(name, text)
    return tuple(dict.fromkeys(found))


def is_allowed(way: WayOut, allowed: Collection[str]) -> bool:
    """Return whether a list of names allows a way out. `mcp` allows every server, and `mcp:HOST` one."""
    return way.name in allowed or way.name.partition(":")[0] in allowed


def is_remote_text(name: str, beginning: bytes) -> bool:
    """Return whether a text in a form is the address of content that the provider may fetch: any address in a field for
    media or addresses, and one of the web in any field but those for prompts. An object or a list in a field for media
    may hold one. Text that is not in UTF-8 is read like other text."""
    path = [part for part in _PATH.split(name.casefold()) if part]
    text = beginning.translate(None, b"\0\xfe\xff\xef\xbb\xbf").decode("latin-1").lstrip()
    if not text or not path or path[0] in _PROMPTS:
        return bool(beginning) and not text
    if text.casefold().startswith(("http:", "https:", "//")):
        return True
    if not any(part in _MEDIA or _is_address_field(part) for part in path):
        return False
    is_data = text.casefold().startswith("data:")
    return not is_data and (text[0] in "{[" or _SCHEME.match(text) is not None)


def _may_hold(text: bytes) -> bool:
    """Return whether the value of a field may hold an address or tools. The search is for the end of a name, as it is
    written outside texts."""
    if any(text.find(mark) >= 0 for mark in _MARKS):
        return True
    return text.find(b"\\u00") >= 0 and any(text.find(escape) >= 0 for escape in _ESCAPES)


def _may_hold_media(text: bytes) -> bool:
    return any(text.find(mark) >= 0 for mark in _MEDIA_MARKS)


def _of_tools(text: bytes, field: str, depth: int = 0) -> Iterator[WayOut]:
    """Yield the ways out in a list of tools. A list or a tool that cannot be read for certain is an unknown tool."""
    if text in _NO_TOOLS:
        return
    try:
        if depth > _MAX_DEPTH:
            raise RecursionError
        for raw in _ITEMS.decode(text):
            yield from _of_tool(bytes(raw), field, depth)
    except (*UNREADABLE, Rejection):
        yield WayOut(UNKNOWN, field)


def _of_tool(text: bytes, field: str, depth: int) -> Iterator[WayOut]:
    names = read_object(text)  # raises `Rejection` if a name comes twice, since servers differ in the value they take
    if names and _OF_GEMINI.issuperset(names):  # an object of tools, by their names
        yield from [WayOut(name, field) for name in names if name not in _OF_CLIENTS]
        return
    tool = _TOOL.decode(text)
    if any(name not in _READ and name.casefold() in _READ for name in names):
        yield WayOut(UNKNOWN, field)
    is_function = bool(bytes(tool.name) or bytes(tool.function))
    name = tool_name(tool.type, is_function=is_function, is_local=_is_local(bytes(tool.environment)))
    if name == MCP:
        yield _server(tool.server_url, field) if tool.server_url else WayOut(_connector(tool), field)
    elif name:
        yield WayOut(name, field)
    if bytes(tool.tools):
        yield from _of_tools(bytes(tool.tools), field, depth + 1)
    if bytes(tool.input_image_mask):
        yield from _in_field("image", bytes(tool.input_image_mask))


def _is_local(environment: bytes) -> bool:
    return (
        environment.startswith(b"{") and bool(read_object(environment)) and _TYPED.decode(environment).type == "local"
    )


def _of_servers(text: bytes) -> Iterator[WayOut]:
    try:
        for raw in _ITEMS.decode(text):
            if read_object(bytes(raw)):
                yield _server(_SERVER_AT.decode(raw).url, _SERVERS)
    except (*UNREADABLE, Rejection):
        yield WayOut(MCP, _SERVERS)


def _connector(tool: _AnyTool) -> str:
    return f"{MCP}:{tool.connector_id}" if tool.connector_id else MCP


def _server(address: str, field: str) -> WayOut:
    """Return the way to an MCP server. A host that cannot be read for certain is not named, so only `mcp` allows it."""
    match = _SERVER.fullmatch(address)
    return WayOut(f"{MCP}:{match[1].lower()}" if match is not None else MCP, field, without_secrets(address))


def _in_field(field: str, text: bytes) -> Iterator[WayOut]:
    """Yield the ways out in the value of a field, by the names of the fields in it."""
    if text[:1] not in (b"{", b"[") and not _is_address_field(field) and field not in _MEDIA:
        return
    short = text
    if len(text) > SMALL_BYTES:
        for mark in _DATA_MARKS:
            short = _without_data(short, mark)
    try:
        value = msgspec.json.decode(short)
        is_plain = count_names(short) == members_in(value)  # no object has a name twice
    except (*UNREADABLE, Rejection):
        is_plain, value = False, None
    if not is_plain:
        yield WayOut(REMOTE, field)
    stack: list[tuple[str, Any]] = [(field, value)]
    while stack:  # there is no recursion, since clients choose the depth of bodies
        place, one = stack.pop()
        if isinstance(one, str):
            if _is_remote(place, one):
                yield WayOut(REMOTE, field, without_secrets(one, _MOST_CHARS))
        elif isinstance(one, list):
            stack += [(place, inner) for inner in one if isinstance(inner, str | list | dict)]
        elif isinstance(one, dict) and not _is_text(one):
            if place in _CALLS:  # the arguments of a call are text, and so is its result
                one = {name: inner for name, inner in one.items() if name == "parts"}
            if "tools" in one:
                yield from _of_tools(msgspec.json.encode(one["tools"]), f"{field}.tools")
            stack += _searched(one)
            if place in _RECORDINGS and isinstance(one.get("data"), str):
                stack.append(("audio", one["data"]))  # some servers take an address in place of base64


def _without_data(text: bytes, mark: bytes) -> bytes:
    """Return JSON without the texts that begin after a mark. They are base64 and may have megabytes. Addresses
    stay."""
    parts, start, at = [], 0, text.find(mark)
    while at >= 0:
        begin = at + len(mark)
        end = text.find(b'"', begin)
        if end < 0:
            break
        beginning = text[begin : begin + _MOST_CHARS].decode("latin-1")
        is_data = _SCHEME.match(beginning) is None and "\\" not in beginning
        is_json = text[at - 1 : at] != b"\\" and text[end - 1 : end] != b"\\"  # both are no letters of a text
        if is_data and is_json:
            parts.append(text[start:begin])
            start = end
        at = text.find(mark, end)
    return b"".join((*parts, text[start:]))


def _is_text(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind in _TEXTS


def _searched(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        folded = name.casefold()
        if folded not in _SKIPPED and folded != "tools":
            yield folded, inner


def _is_address_field(name: str) -> bool:
    return name.endswith(("url", "urls", "uri", "uris"))


def _is_remote(place: str, text: str) -> bool:
    head = text[:_MOST_CHARS].lstrip().casefold()
    if not head or head.startswith("data:"):
        return False
    return _is_address_field(place) or (place in _MEDIA and _SCHEME.match(head) is not None)
