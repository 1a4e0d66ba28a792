"""Continuations keep the header lines of a key: their heads are the same objects each time."""

import json
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from fakes.wire import CHAT, parse, target
from pointsman.domain.prices import ModelFacts
from pointsman.domain.targets import Candidate
from pointsman.providers import PROVIDERS, continued_codec, continues_in, dialects_of, families_of

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


def test_claude_at_bedrock_continues_a_text_if_its_version_does() -> None:
    record = PROVIDERS["bedrock"]
    for model, dialect in (
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic"),
        ("anthropic.claude-opus-4-6-v1", None),
        ("amazon.nova-pro-v1:0", None),
    ):
        item = target("bedrock", model)
        item = replace(item, endpoint=replace(item.endpoint, families=families_of(record)))
        spoken = continues_in(item)
        assert (spoken.name if spoken is not None else None) == dialect


def test_end_of_a_conversation_reaches_claude_at_bedrock() -> None:
    item = target("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0")
    item = replace(item, endpoint=replace(item.endpoint, families=families_of(PROVIDERS["bedrock"])))
    call = parse({**CHAT, "messages": TURNS, "max_tokens": 9, "stream": True})
    writer: Any = None
    sent = json.loads(continued_codec(item, "openai", lambda echoes: writer).encode(call, item, item.keys[0]).body)
    assert sent["messages"][-1] == {"role": "assistant", "content": "so far"} or sent["messages"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "so far"}],
    }
    assert "stream" not in sent


def _at(model: str) -> Candidate:
    item = target("anthropic", model)
    return replace(item, endpoint=replace(item.endpoint, dialects=dialects_of(PROVIDERS["anthropic"])))


def test_catalog_decides_if_it_knows_whether_a_model_continues_a_text() -> None:
    older, newer = _at("claude-haiku-4-5"), _at("claude-opus-4-8")
    assert continues_in(older) is not None
    assert continues_in(older, ModelFacts(name="x", lacks=frozenset({"prefill"}))) is None
    assert continues_in(newer) is None
    assert continues_in(newer, ModelFacts(name="x", capabilities=frozenset({"prefill"}))) is not None
    assert continues_in(newer, ModelFacts(name="x")) is None
