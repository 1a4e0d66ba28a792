"""The parts of a request whose cost its bytes do not bound: additional input, and services that the provider runs.

A token of text takes a byte at least, so the size of a request bounds the cost of its prompt. That does not hold
for input that the provider adds by itself, nor for tools that it runs and charges by the call:

| in the request | of | added |
|---|---|---|
| `previous_response_id`, `conversation`, `prompt`, items by id, `compaction` | OpenAI's Responses | stored objects |
| `file_id`, `file_url`, videos, recordings and documents by address, `messages.audio` | chats and Responses | a file |
| `cached_content`, also in `extra_body` | Gemini's dialect of OpenAI's | cached content |
| `tools` other than those that the client runs | all | calls, and their results |
| `web_search_options` | OpenAI's chats, models that always search | a search |
| `search_parameters` | xAI's chats | sources |
| `plugins` | OpenRouter | their services |
| `models`, `preset` | OpenRouter, Perplexity | answers of other, perhaps more expensive, models, and their tools |
| `enable_search`, `web_search` | Qwen's and others' chats | a search |
| `prediction` | OpenAI's chats | its own tokens, at the price of an answer's |

https://platform.openai.com/docs/api-reference/responses/create, …/chat/create,
https://docs.x.ai/docs/guides/live-search, https://openrouter.ai/docs/guides/features/plugins/overview,
https://ai.google.dev/gemini-api/docs/openai. An unknown tool counts as the provider's,
since its name does not show who runs it.
"""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.operations import GENERATING
from pointsman.wire.json_object import UNREADABLE, read_or

USES = 5  # of a tool, if nothing sets how often it may be used
MAX_USES = 1000

# Tools that the client runs: their results come with the next request.
_CLIENTS = frozenset(
    {"function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "namespace"}
    | {"bash", "text_editor", "memory", "computer_toolset", "browser_toolset"}  # Anthropic's
)
_DATE = re.compile(r"_(?:\d{8}|\d{4}_\d{2}_\d{2})$")  # of the version of a tool
_STORED = {"previous_response_id", "conversation", "prompt"}
_CACHED = {"cached_content", "extra_body", "google"}
_SEARCHES = {"web_search_options", "enable_search", "web_search"}
_OTHERS = ("models", "preset")  # these have another model answer
_FIELDS = frozenset(
    {"tools", "search_parameters", "plugins", *_OTHERS, "prediction", "input", "max_tool_calls"}
    | _STORED | _CACHED | _SEARCHES
)  # fmt: skip
_NOTHING = frozenset({b"null", b"false", b'""', b"[]"})
_SOURCES = 20  # that xAI searches if a request sets no number
_RESULTS = 5  # that OpenRouter adds if a request sets no number

# Items of an input that refer to an object which the provider stores or unpacks.
_REFERENCES = frozenset(
    {"item_reference", "compaction", "compaction_summary", "additional_tools", "mcp_approval_response"}
)

_Count = Annotated[int, Meta(ge=0, le=MAX_USES)]


class Use(Struct, frozen=True, gc=False):
    """The largest number of uses of a tool, which a field of the request allows."""

    tool: str
    count: int
    field: str


class Unbounded(Struct, frozen=True, gc=False):
    """`field` is the first that adds to the provider's input, empty if none does. `predicted` are tokens that may be
    charged as an answer's beyond its own bound."""

    field: str = ""
    uses: tuple[Use, ...] = ()
    predicted: int = 0


class _Environment(Struct, gc=False):
    type: str = ""
    memory_limit: str | None = None


class _Parameters(Struct, gc=False):
    max_uses: _Count | None = None


class _Tool(Struct, kw_only=True, gc=False):
    type: str = ""
    name: Raw = Raw(b"")
    function: Raw = Raw(b"")
    max_uses: _Count | None = None
    container: Raw = Raw(b"")
    environment: _Environment | None = None
    parameters: Raw = Raw(b"")


class _Item(Struct, gc=False):
    type: str | None = None
    role: str | None = None
    encrypted_content: Raw = Raw(b"null")


class _Search(Struct, gc=False):
    mode: str | None = None
    max_search_results: _Count | None = None


class _Plugin(Struct, gc=False):
    id: str
    enabled: bool | None = None
    max_results: _Count | None = None


_TOOLS = msgspec.json.Decoder(list[_Tool])
_ENVIRONMENT = msgspec.json.Decoder(_Environment)
_PARAMETERS = msgspec.json.Decoder(_Parameters)
_ITEMS = msgspec.json.Decoder(list[_Item])
_SEARCH = msgspec.json.Decoder(_Search)
_PLUGINS = msgspec.json.Decoder(list[_Plugin])
_COUNT = msgspec.json.Decoder(_Count | None)


def unbounded_in(call: Call) -> Unbounded | None:
    """Return `None` for nearly every request: its bytes bound its cost."""
    fields, elsewhere = call.fields, call.media.elsewhere
    if not elsewhere and _FIELDS.isdisjoint(fields):
        return None
    present = {name: bytes(fields[name]) for name in _FIELDS.intersection(fields)}
    present = {name: value for name, value in present.items() if value not in _NOTHING}
    field, predicted = elsewhere, 0
    if call.operation not in GENERATING:
        return Unbounded(field) if field else None
    if call.operation == "responses":
        field = next((name for name in sorted(_STORED) if name in present), "") or field
        field = field or _in_items(present.get("input", b""))
    else:
        field = _cached(present) or field
        predicted = len(present.get("prediction", b""))
    uses = _services(present)
    if "tools" in present:
        uses += _tools(present["tools"], _count(present.get("max_tool_calls")))
    if uses and not field:
        field = uses[0].field
    return Unbounded(field, tuple(uses), predicted) if field or predicted else None


def _count(text: bytes | None) -> int | None:
    """Return a bound that the request sets. A bound that cannot be parsed is none."""
    return read_or(_COUNT, text, None) if text is not None else None


def _tools(text: bytes, most: int | None) -> list[Use]:
    """Return the tools that the provider runs, each with the lower of its own bound and the one for all together."""
    try:
        tools = _TOOLS.decode(text)
    except UNREADABLE:
        return [Use("unknown", USES if most is None else most, "tools")]
    uses = []
    for tool in tools:
        environment = _environment(tool)
        is_function = bool(bytes(tool.name) or bytes(tool.function))
        is_local = environment is not None and environment.type == "local"
        name = tool_name(tool.type, is_function=is_function, is_local=is_local)
        if not name:
            continue
        if environment is not None and environment.memory_limit not in (None, "1g"):
            name = f"{name}:{environment.memory_limit}"  # this has a price of its own
        own = tool.max_uses
        if own is None and name.startswith("openrouter:"):
            own = read_or(_PARAMETERS, tool.parameters, _Parameters()).max_uses
        bounds = [bound for bound in (own, most) if bound is not None]
        uses.append(Use(name, min(bounds) if bounds else USES, "tools"))
    return uses


def tool_name(kind: str, *, is_function: bool, is_local: bool) -> str:
    """Return the name of a tool that the provider runs, without the date of its version. Return an empty text if the
    client runs it. One without a type is a function if it looks like one: Gemini's own are objects named after a
    service. A shell may be local."""
    name = _DATE.sub("", kind or ("function" if is_function else "unknown"))
    return "" if name in _CLIENTS or (name == "shell" and is_local) else name


def services_in(fields: Mapping[str, Raw]) -> list[Use]:
    """Return the services beside tools that a request has its provider use."""
    present = {name: bytes(fields[name]) for name in _FIELDS.intersection(fields)}
    return _services({name: value for name, value in present.items() if value not in _NOTHING})


def _environment(tool: _Tool) -> _Environment | None:
    """Return where a tool runs code. The result is `None` for tools that run none, and for a container that exists
    already."""
    if tool.environment is not None:
        return tool.environment
    if not bytes(tool.container).startswith(b"{"):
        return None
    return read_or(_ENVIRONMENT, tool.container, _Environment(memory_limit="unknown"))


def _services(present: dict[str, bytes]) -> list[Use]:
    """Return the searches that a request allows its provider, and other services it requests."""
    uses = [Use(name, 1, name) for name in sorted(_SEARCHES) if name in present]
    if "search_parameters" in present:
        search = read_or(_SEARCH, present["search_parameters"], _Search(max_search_results=MAX_USES))
        if search.mode != "off":
            count = search.max_search_results
            uses.append(Use("live_search", _SOURCES if count is None else count, "search_parameters"))
    if "plugins" in present:
        try:
            for plugin in _PLUGINS.decode(present["plugins"]):
                if plugin.enabled is not False:
                    count = plugin.max_results
                    uses.append(Use(f"plugin:{plugin.id}", _RESULTS if count is None else count, "plugins"))
        except UNREADABLE:
            uses.append(Use("unknown", USES, "plugins"))
    return uses + [Use(name, 1, name) for name in _OTHERS if name in present]


def _cached(present: dict[str, bytes]) -> str:
    """Return the field that names content stored by the provider."""
    if "cached_content" in present:
        return "cached_content"
    return next((name for name in ("extra_body", "google") if b"cached_content" in present.get(name, b"")), "")


def _in_items(text: bytes) -> str:
    """Return `input` if an item of a response's input refers to a stored object."""
    if not text.startswith(b"["):
        return ""
    try:
        items = _ITEMS.decode(text)
    except UNREADABLE:
        return "input"
    for item in items:
        kind = item.type
        if kind is None or kind == "message":
            is_bounded = item.role is not None
        elif kind == "reasoning":
            is_bounded = bytes(item.encrypted_content) not in _NOTHING
        else:
            is_bounded = kind not in _REFERENCES
        if not is_bounded:
            return "input"
    return ""
