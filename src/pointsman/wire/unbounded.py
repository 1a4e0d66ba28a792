"""What a request makes its provider read or do that its bytes do not bound.

A token of text takes a byte at least, so that the size of a request bounds what it costs to read. That does not hold
for what the provider adds by itself, nor for tools that it runs and charges by the call:

| in the request | of | what is added |
|---|---|---|
| `previous_response_id`, `conversation`, `prompt`, items by id, `compaction` | OpenAI's Responses | what is kept |
| `file_id`, `file_url`, videos, recordings and documents by address, `messages.audio` | chats and Responses | a file |
| `cached_content`, also in `extra_body` | Gemini's dialect of OpenAI's | what is cached |
| `tools` other than those that the client runs | all | calls, and what they find |
| `web_search_options` | OpenAI's chats, models that always search | a search |
| `search_parameters` | xAI's chats | sources |
| `plugins` | OpenRouter | what they are |
| `models`, `preset` | OpenRouter, Perplexity | answers of other, perhaps dearer, models, and their tools |
| `enable_search`, `web_search` | Qwen's and others' chats | a search |
| `prediction` | OpenAI's chats | its own tokens, at the price of an answer's |

https://platform.openai.com/docs/api-reference/responses/create, …/chat/create,
https://docs.x.ai/docs/guides/live-search, https://openrouter.ai/docs/guides/features/plugins/overview,
https://ai.google.dev/gemini-api/docs/openai. Of a tool that is not known here nobody can say who runs it, so it counts
as the provider's.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import Call
from pointsman.wire.json_object import UNREADABLE, read_or

USES = 5  # of a tool, where nothing says how often it may be used
MAX_USES = 1000

# Tools that the client runs: what they find comes with the next request.
_CLIENTS = frozenset(
    {"function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "namespace"}
    | {"bash", "text_editor", "memory"}  # Anthropic's
)
_DATE = re.compile(r"_(?:\d{8}|\d{4}_\d{2}_\d{2})$")  # of the version of a tool
_KEPT = {"previous_response_id", "conversation", "prompt"}
_CACHED = {"cached_content", "extra_body", "google"}
_SEARCHES = {"web_search_options", "enable_search", "web_search"}
_OTHERS = ("models", "preset")  # which have another model answer
_GENERATING = frozenset({"chat", "completion", "responses"})
_FIELDS = frozenset(
    {"tools", "search_parameters", "plugins", *_OTHERS, "prediction", "input", "max_tool_calls"}
    | _KEPT | _CACHED | _SEARCHES
)  # fmt: skip
_NOTHING = frozenset({b"null", b"false", b'""', b"[]"})
_SOURCES = 20  # that xAI looks at, where a request does not say
_RESULTS = 5  # that OpenRouter adds, where a request does not say

# Items of an input that stand for something which the provider keeps, or unpacks.
_STANDING_FOR = frozenset(
    {"item_reference", "compaction", "compaction_summary", "additional_tools", "mcp_approval_response"}
)

_Count = Annotated[int, Meta(ge=0, le=MAX_USES)]


class Use(Struct, frozen=True, gc=False):
    """So many uses of a tool at most, which a field of the request allows."""

    tool: str
    count: int
    field: str


class Unbounded(Struct, frozen=True, gc=False):
    """`field` is the first that adds to what the provider reads, empty where none does. `predicted` are tokens that may
    be charged as an answer's beyond its own bound."""

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
    """`None` for nearly every request: one whose bytes bound what it costs."""
    fields, elsewhere = call.fields, call.media.elsewhere
    if not elsewhere and _FIELDS.isdisjoint(fields):
        return None
    stated = {name: bytes(fields[name]) for name in _FIELDS.intersection(fields)}
    stated = {name: value for name, value in stated.items() if value not in _NOTHING}
    field, predicted = elsewhere, 0
    if call.operation not in _GENERATING:
        return Unbounded(field) if field else None
    if call.operation == "responses":
        field = next((name for name in sorted(_KEPT) if name in stated), "") or field
        field = field or _in_items(stated.get("input", b""))
    else:
        field = _cached(stated) or field
        predicted = len(stated.get("prediction", b""))
    uses = _services(stated)
    if "tools" in stated:
        uses += _tools(stated["tools"], _count(stated.get("max_tool_calls")))
    if uses and not field:
        field = uses[0].field
    return Unbounded(field, tuple(uses), predicted) if field or predicted else None


def _count(text: bytes | None) -> int | None:
    """A bound that the request states; one that cannot be read is none."""
    return read_or(_COUNT, text, None) if text is not None else None


def _tools(text: bytes, most: int | None) -> list[Use]:
    """The tools that the provider runs, each at most as often as it says itself, or all together may be used."""
    try:
        tools = _TOOLS.decode(text)
    except UNREADABLE:
        return [Use("unknown", USES if most is None else most, "tools")]
    uses = []
    for tool in tools:
        # One without a type is a function, if it looks like one: Gemini's own are objects named after a service.
        kind = tool.type or ("function" if bytes(tool.name) or bytes(tool.function) else "unknown")
        name = _DATE.sub("", kind)
        environment = _environment(tool)
        if name in _CLIENTS or (name == "shell" and environment is not None and environment.type == "local"):
            continue
        if environment is not None and environment.memory_limit not in (None, "1g"):
            name = f"{name}:{environment.memory_limit}"  # which has a price of its own
        own = tool.max_uses
        if own is None and name.startswith("openrouter:"):
            own = read_or(_PARAMETERS, tool.parameters, _Parameters()).max_uses
        bounds = [bound for bound in (own, most) if bound is not None]
        uses.append(Use(name, min(bounds) if bounds else USES, "tools"))
    return uses


def _environment(tool: _Tool) -> _Environment | None:
    """Where a tool runs code; `None` for those that run none, and for a container that exists already."""
    if tool.environment is not None:
        return tool.environment
    if not bytes(tool.container).startswith(b"{"):
        return None
    return read_or(_ENVIRONMENT, tool.container, _Environment(memory_limit="unknown"))


def _services(stated: dict[str, bytes]) -> list[Use]:
    """What a request lets its provider search, and other services it asks for."""
    uses = [Use(name, 1, name) for name in sorted(_SEARCHES) if name in stated]
    if "search_parameters" in stated:
        search = read_or(_SEARCH, stated["search_parameters"], _Search(max_search_results=MAX_USES))
        if search.mode != "off":
            count = search.max_search_results
            uses.append(Use("live_search", _SOURCES if count is None else count, "search_parameters"))
    if "plugins" in stated:
        try:
            for plugin in _PLUGINS.decode(stated["plugins"]):
                if plugin.enabled is not False:
                    count = plugin.max_results
                    uses.append(Use(f"plugin:{plugin.id}", _RESULTS if count is None else count, "plugins"))
        except UNREADABLE:
            uses.append(Use("unknown", USES, "plugins"))
    return uses + [Use(name, 1, name) for name in _OTHERS if name in stated]


def _cached(stated: dict[str, bytes]) -> str:
    """The field that names content which the provider keeps."""
    if "cached_content" in stated:
        return "cached_content"
    return next((name for name in ("extra_body", "google") if b"cached_content" in stated.get(name, b"")), "")


def _in_items(text: bytes) -> str:
    """`input` where an item of a response's input stands for something that is kept."""
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
            is_bounded = kind not in _STANDING_FOR
        if not is_bounded:
            return "input"
    return ""
