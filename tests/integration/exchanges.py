"""Recorded exchanges with their providers, their dialects, and the parts of their addresses."""

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from fakes import answer_facts, upstream_facts, wire
from fakes.corpora import Recorded
from pointsman.domain.calls import Call
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.upstreams import SPOKEN

# Official SDKs read the answers. Google's is in an environment of its own (`make test-frameworks`).
PATHS = {one.name: one.path for one in CONVERSATIONS if one.name != "gemini"}
GEMINI, BEDROCK, COHERE = "gemini", "bedrock", "cohere"
_TYPES = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.z.ai": "zai",
    "aiplatform.googleapis.com": "vertex",
    "generativelanguage.googleapis.com": "gemini",
    "openrouter.ai": "openrouter",
    "router.huggingface.co": "huggingface",
}
_MOST_LETTERS = 60  # of a name
_SUFFIXES = ("/chat/completions", "/responses", "/messages")
# The parts of an address that names its model: before the provider's path, before the model, the model, and behind it.
_NAMING = (
    (GEMINI, re.compile(r"(?P<base>/.+?)(?P<below>(?:/publishers/google)?/models/)(?P<model>[^:]+)(?P<end>:\w+)")),
    (BEDROCK, re.compile(r"(?P<base>)(?P<below>/model/)(?P<model>[^/]+)(?P<end>/converse(?:-stream)?)")),
)
_PLAIN: dict[str, dict[str, Any]] = {
    "openai": {"messages": [{"role": "user", "content": "hello"}]},
    "openai-responses": {"input": "hello"},
    "anthropic": {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1000},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


class Exchange(Struct, frozen=True):
    """A recorded exchange with its host, and the name of its provider. `base_path` and `path` are the two parts of its
    target. `dialect` is that of a conversation, else empty. `model` is empty if the request names none."""

    recorded: Recorded
    host: str
    provider: str
    base_path: str
    path: str
    dialect: str
    type: str
    model: str = ""

    @property
    def is_json(self) -> bool:
        return self.recorded.request.startswith(b"{")

    @property
    def is_native(self) -> bool:
        """True if a client can make the recorded call itself. Some dialects are spoken by providers only."""
        return self.dialect not in (BEDROCK, COHERE)


def exchange_of(recorded: Recorded) -> Exchange | None:
    """Return a recording as an exchange. It is `None` if its address is no provider's of a known dialect."""
    parts = urlsplit(recorded.uri)
    host, path = parts.netloc, parts.path + (f"?{parts.query}" if parts.query else "")
    if host.endswith(("googleapis.com", "amazonaws.com")):
        return _named_in_path(recorded, host, path)
    if host in ("api.openai.com", "api.anthropic.com"):
        base_path = "/v1"
    elif host == "api.cohere.com":
        base_path = ""
    else:
        suffix = next((one for one in _SUFFIXES[:2] if parts.path.endswith(one)), None)
        if suffix is None or host.endswith("workers.dev"):
            return None
        base_path = parts.path.removesuffix(suffix)
    below = path.removeprefix(base_path)
    dialect = ""
    if recorded.method == "POST":
        paths = {**PATHS, COHERE: "/v2/chat"}
        dialect = next((name for name, at in paths.items() if at == below.partition("?")[0]), "")
    body = json.loads(recorded.request) if recorded.request.startswith(b"{") else {}
    return Exchange(
        recorded,
        host,
        _name(host, base_path),
        base_path,
        below,
        dialect,
        _TYPES.get(host, "openai-compatible"),
        str(body.get("model") or ""),
    )


def _named_in_path(recorded: Recorded, host: str, path: str) -> Exchange | None:
    """Return an exchange of a provider whose paths name the model. Other paths of theirs are not played."""
    for dialect, naming in _NAMING:
        found = naming.fullmatch(path.partition("?")[0])
        if found is not None:
            base_path, model = found["base"], unquote(found["model"])
            return Exchange(
                recorded,
                host,
                _name(host, base_path),
                base_path,
                path.removeprefix(base_path),
                dialect,
                _TYPES.get(host, "bedrock"),
                model,
            )
    return None


def _name(host: str, base_path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", host + base_path)[-_MOST_LETTERS:].strip("-")


def call_of(one: Exchange) -> Call:
    """Return the recorded request as the gateway reads it."""
    return parsed(one.recorded.request, one.dialect, streams=one.recorded.is_stream)


def parsed(body: object, dialect: str, *, streams: bool = False) -> Call:
    """Parse the request of a client of any dialect. `streams` counts in the dialect whose paths say it."""
    more: dict[str, Any] = {"streams": streams} if dialect == GEMINI else {}
    return wire.parse(body, SPOKEN[dialect].path, dialect=dialect, **more)


def plain(client: str, *, streams: bool) -> dict[str, Any]:
    """Return the body of a request in which a client says hello, and wants a stream with its usage, or none."""
    body = dict(_PLAIN[client])
    if client != GEMINI:
        body["stream"] = streams
    if client == answer_facts.CHAT and streams:
        body["stream_options"] = {"include_usage": True}
    return body


def recorded_facts(one: Exchange) -> answer_facts.Facts:
    """Return the facts in a recorded answer."""
    return facts_in(one.dialect, one.recorded.body, is_stream=one.recorded.is_stream)


def facts_in(dialect: str, answer: bytes, *, is_stream: bool, is_checked: bool = False) -> answer_facts.Facts:
    """Return the facts in an answer of any dialect. If `is_checked`, it must have the types of the official SDK."""
    if dialect not in PATHS:
        return upstream_facts.facts(dialect, answer, is_stream=is_stream)
    read = answer_facts.streamed if is_stream else answer_facts.whole
    return answer_facts.facts(dialect, read(dialect, answer, is_checked=is_checked))
