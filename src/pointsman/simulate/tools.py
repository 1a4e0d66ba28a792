"""Tools that a provider runs itself, and their charges: searches, files, and stored earlier answers."""

from typing import Any

import msgspec
from msgspec import Struct

from pointsman.simulate.answers import RequestContext

_CLIENT_TOOLS = frozenset({"function", "custom", "local_shell", "apply_patch", "computer_use_preview"})
_CLIENT_FAMILIES = ("bash_", "text_editor_", "computer_", "memory_")  # Anthropic's, by date
_REFERENCE_FIELDS = ("previous_response_id", "conversation", "prompt")
_FIELDS = (
    *_REFERENCE_FIELDS,
    "messages",
    "input",
    "tools",
    "max_tool_calls",
    "web_search_options",
    "search_parameters",
    "plugins",
)
_REFERENCES_IN_CONTENT = ("file_id", "file_url", "video_url", "audio", "video")


class Additions(Struct):
    """The additions to one request: calls by the name of the tool, tokens of the prompt, and fees in nano-dollars."""

    calls: dict[str, int]
    tokens: int
    fees_nano: int


def additions(context: RequestContext) -> Additions:
    """Return the tool calls, tokens and fees that the provider adds to this request."""
    raw = {name: context.fields[name] for name in _FIELDS if name in context.fields}
    fields: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in raw.items()}
    calls = _calls(fields, context.settings.tool_uses)
    references = sum(1 for name in _REFERENCE_FIELDS if fields.get(name)) + _count_references(
        fields.get("messages") or fields.get("input")
    )
    tokens = context.settings.added_tokens * (references + sum(calls.values()))
    fees = sum(count * context.settings.tool_fees.get(name, 0) for name, count in calls.items())
    return Additions(calls, tokens, fees)


def _calls(fields: dict[str, Any], uses: int) -> dict[str, int]:
    calls: dict[str, int] = {}
    remaining = fields.get("max_tool_calls")
    for tool in fields.get("tools") or ():
        name = tool.get("type", "function")
        if name not in _CLIENT_TOOLS and not name.startswith(_CLIENT_FAMILIES):
            count = min(uses, tool.get("max_uses", uses), uses if remaining is None else remaining)
            calls[name] = calls.get(name, 0) + count
            remaining = None if remaining is None else remaining - count
    if "web_search_options" in fields:
        calls["web_search_options"] = 1
    search = fields.get("search_parameters")
    if search is not None and search.get("mode") != "off":
        calls["live_search"] = min(uses, search.get("max_search_results", 20))
    for plugin in fields.get("plugins") or ():
        calls[f"plugin:{plugin['id']}"] = plugin.get("max_results", 5)
    return calls


def _count_references(value: Any) -> int:
    """Count the references in messages or items to resources that the provider must fetch."""
    if isinstance(value, list):
        return sum(map(_count_references, value))
    if not isinstance(value, dict):
        return 0
    own = 1 if value.get("type") == "item_reference" or any(value.get(name) for name in _REFERENCES_IN_CONTENT) else 0
    return own or sum(_count_references(inner) for inner in value.values())
