"""Tools in a namespace. https://platform.openai.com/docs/api-reference/responses/create (`tools`, `namespace`)

Only this dialect groups tools. For other dialects a tool gets a name of its own, made of both names. A call of it is
shown to the client under the two names that the client knows.
"""

import hashlib

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.json_object import UNREADABLE

NAMESPACE = "namespace"
MAX_NAME = 64  # characters of a tool's name, which OpenAI checks
_DIGEST = 8


class _ListedTool(Struct, gc=False):
    type: str = ""
    name: str = ""
    tools: list["_ListedTool"] = []


_LISTED = msgspec.json.Decoder(list[_ListedTool])


def flat_name(namespace: str, name: str) -> str:
    """Return the name of a tool for dialects without namespaces. A long one ends with a part of its digest."""
    flat = f"{namespace}__{name}"
    if len(flat) <= MAX_NAME:
        return flat
    digest = hashlib.sha256(flat.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{flat[: MAX_NAME - _DIGEST - 1]}_{digest}"


def names_in(tools: Raw) -> dict[str, tuple[str, str]]:
    """Return the namespace and the name of each tool in a namespace, by its name for other dialects."""
    if b'"namespace"' not in bytes(tools):
        return {}
    try:
        listed = _LISTED.decode(tools)
    except UNREADABLE:
        return {}
    return {
        flat_name(group.name, tool.name): (group.name, tool.name)
        for group in listed
        if group.type == NAMESPACE
        for tool in group.tools
    }
