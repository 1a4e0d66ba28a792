"""Tools that a provider runs itself, and their charges: searches, files, and stored earlier answers."""

from typing import Any

import msgspec
from msgspec import Struct

from pointsman.simulate.answers import Ask

_OF_CLIENTS = frozenset({"function", "custom", "local_shell", "apply_patch", "computer_use_preview"})
_KEPT = ("previous_response_id", "conversation", "prompt")
_READ = (*_KEPT, "messages", "input", "tools", "max_tool_calls", "web_search_options", "search_parameters", "plugins")
_IN_CONTENT = ("file_id", "file_url", "video_url", "audio", "video")


class Added(Struct):
    """The additions to one request: calls of tools by name, tokens of the prompt, and nano-dollars."""

    calls: dict[str, int]
    tokens: int
    fees_nano: int


def added(ask: Ask) -> Added:
    """Return the additions that this request allows the provider to make."""
    read = {name: ask.fields[name] for name in _READ if name in ask.fields}
    fields: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in read.items()}
    calls = _calls(fields, ask.settings.tool_uses)
    things = sum(1 for name in _KEPT if fields.get(name)) + _things(fields.get("messages") or fields.get("input"))
    tokens = ask.settings.added_tokens * (things + sum(calls.values()))
    fees = sum(count * ask.settings.tool_fees.get(name, 0) for name, count in calls.items())
    return Added(calls, tokens, fees)


def _calls(fields: dict[str, Any], uses: int) -> dict[str, int]:
    calls: dict[str, int] = {}
    left = fields.get("max_tool_calls")
    for tool in fields.get("tools") or ():
        name = tool.get("type", "function")
        if name not in _OF_CLIENTS:
            count = min(uses, tool.get("max_uses", uses), uses if left is None else left)
            calls[name] = calls.get(name, 0) + count
            left = None if left is None else left - count
    if "web_search_options" in fields:
        calls["web_search_options"] = 1
    search = fields.get("search_parameters")
    if search is not None and search.get("mode") != "off":
        calls["live_search"] = min(uses, search.get("max_search_results", 20))
    for plugin in fields.get("plugins") or ():
        calls[f"plugin:{plugin['id']}"] = plugin.get("max_results", 5)
    return calls


def _things(value: Any) -> int:
    """Count the resources that messages or items name and the provider must fetch."""
    if isinstance(value, list):
        return sum(map(_things, value))
    if not isinstance(value, dict):
        return 0
    own = 1 if value.get("type") == "item_reference" or any(value.get(name) for name in _IN_CONTENT) else 0
    return own or sum(_things(inner) for inner in value.values())
