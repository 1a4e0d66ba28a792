"""Continuations keep the header lines of a key: their heads are the same objects each time."""

import json
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from fakes.wire import CHAT, parse, target
from pointsman.providers import PROVIDERS, continued_codec, dialects_of

TURNS = [*CHAT["messages"], {"role": "assistant", "content": "so far"}]


def kept_lines(provider: str, model: str, dialect: str) -> int:
    """Return the number of kept header lines after several continuations for one client."""
    item = target(provider, model)
    item = replace(item, endpoint=replace(item.endpoint, dialects=dialects_of(PROVIDERS[provider])))
    body = {**CHAT, "messages": TURNS, "max_tokens": 9, "stream": True}
    call = parse(body, "/messages" if dialect == "anthropic" else "/chat/completions")
    writer: Any = None
    for text in ("so far", "and more", "and even more"):
        given = replace(call, fields={**call.fields, "messages": _ending(text)})
        continued_codec(item, dialect, lambda echoes: writer).encode(given, item, item.keys[0])
    return len(item.keys[0].cached_heads.known)


def _ending(text: str) -> Raw:
    return Raw(json.dumps([*CHAT["messages"], {"role": "assistant", "content": text}]).encode())


def test_continuations_share_their_heads() -> None:
    for provider, model in (("anthropic", "claude-sonnet-4-5"), ("mistral", "m"), ("deepseek", "deepseek-chat")):
        for dialect in ("openai", "anthropic"):
            assert kept_lines(provider, model, dialect) == 1, (provider, dialect)
