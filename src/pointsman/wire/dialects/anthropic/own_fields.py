"""Leave out reasoning and citations of other authors before a request goes to Anthropic, which rejects their proofs.

If results follow, it also requires that the turn with the calls begins with its reasoning, unless thinking is adaptive.
A turn of another author has none that may be sent, so such a request cannot think.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks,
https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool (`encrypted_index`),
https://platform.claude.com/docs/en/build-with-claude/context-editing (`clear_thinking`, which needs thinking)
"""

import re

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.json_object import UNREADABLE, encode_object, read_or
from pointsman.wire.translation import MARK

_MARKED = re.compile(rb'"%b|"signature"[ \t\r\n]*:[ \t\r\n]*""' % re.escape(MARK).encode("ascii"))
_INDEX = b'"encrypted_index"'  # a search for it is much faster than a third branch of the pattern
_MESSAGES = msgspec.json.Decoder(list[dict[str, Raw]])
_BLOCKS = msgspec.json.Decoder(list[Raw])


class _Reasoning(Struct, gc=False):
    type: str = ""
    signature: str = ""
    data: str = ""


class _Citation(Struct, gc=False):
    encrypted_index: str | None = None


class _Turn(Struct, gc=False):
    content: Raw


class _Typed(Struct, gc=False):
    type: str = ""


_REASONING = msgspec.json.Decoder(_Reasoning)
_CITATION = msgspec.json.Decoder(_Citation)
_TYPE = msgspec.json.Decoder(_Typed)
_TURNS = msgspec.json.Decoder(list[_Turn])
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_NO_TYPE, _NOTHING = _Typed(), Raw(b"null")
_NO_CITATION = _Citation()
_EDITING = "context_management"


def own_fields(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields without blocks of reasoning that are not signed by Anthropic, and without citations of pages
    that it has not found. All other messages keep their bytes, since changed ones would miss the cache of prompts."""
    messages = fields.get("messages", Raw(b""))
    if not _may_be_foreign(messages):
        return fields
    try:
        found = _MESSAGES.decode(messages)
    except UNREADABLE:
        return fields
    is_changed = False
    for message in found:
        content = message.get("content", Raw(b""))
        if bytes(content)[:1] == b"[" and _may_be_foreign(content):
            blocks = _BLOCKS.decode(content)
            kept = [_without_foreign_citations(block) for block in blocks if not _is_foreign(block)]
            if kept != blocks:
                message["content"] = Raw(encode_object(kept))
                is_changed = True
    if not is_changed:
        return fields
    kept_messages = [message for message in found if bytes(message.get("content", Raw(b""))) != b"[]"]
    return without_lost_thinking({**fields, "messages": Raw(encode_object(kept_messages))})


def _may_be_foreign(raw: Raw) -> bool:
    return _MARKED.search(raw) is not None or bytes(raw).find(_INDEX) >= 0


def without_lost_thinking(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields without a budget for thinking if results follow a turn that lacks its reasoning."""
    thinking = read_or(_TYPE, fields.get("thinking", _NOTHING), _NO_TYPE)
    if thinking.type != "enabled":
        return fields
    turns = read_or(_TURNS, fields.get("messages", _NOTHING), [])
    if len(turns) < 2 or not any(one.type == "tool_result" for one in _types(turns[-1].content)):
        return fields
    first = next(iter(_types(turns[-2].content)), _NO_TYPE)
    if first.type in ("thinking", "redacted_thinking"):
        return fields
    kept = {name: raw for name, raw in fields.items() if name not in ("thinking", _EDITING)}
    editing = read_or(_FIELDS, fields.get(_EDITING, _NOTHING), {})
    edits = [
        raw
        for raw in read_or(_BLOCKS, editing.get("edits", _NOTHING), [])
        if not read_or(_TYPE, raw, _NO_TYPE).type.startswith("clear_thinking")
    ]
    if edits:
        kept[_EDITING] = Raw(encode_object({**editing, "edits": edits}))
    return kept


def _types(content: Raw) -> list[_Typed]:
    return [read_or(_TYPE, block, _NO_TYPE) for block in read_or(_BLOCKS, content, [])]


def _without_foreign_citations(block: Raw) -> Raw:
    if bytes(block).find(_INDEX) < 0 or read_or(_TYPE, block, _NO_TYPE).type != "text":
        return block
    found = read_or(_FIELDS, block, {})
    citations = read_or(_BLOCKS, found.get("citations", _NOTHING), [])
    kept = [raw for raw in citations if read_or(_CITATION, raw, _NO_CITATION).encrypted_index != ""]
    if len(kept) == len(citations):
        return block
    del found["citations"]
    return Raw(encode_object({**found, "citations": kept} if kept else found))


def _is_foreign(block: Raw) -> bool:
    if _MARKED.search(block) is None:
        return False
    try:
        found = _REASONING.decode(block)
    except UNREADABLE:
        return False
    return (found.type == "thinking" and (not found.signature or found.signature.startswith(MARK))) or (
        found.type == "redacted_thinking" and found.data.startswith(MARK)
    )
