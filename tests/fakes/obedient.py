"""A provider that does as the prompt says, in each dialect of a conversation.

The last text of the user may ask for a call (`use read_file with {"path": "a"}`) or for a text (`say {"a": 1}`). The
name of a tool in a namespace is `namespace__name`. The call is made only if the request has such a tool. After its
result comes the text `the tool returned: …`. A request for reasoning is answered with `thinking hard` before the rest.

It shares no code with the gateway. It rejects requests that the real APIs reject, because a client's later turns
depend on its earlier ones.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes import obedient_answers as answers
from fakes.obedient_answers import Reply
from fakes.origin import Peer, serving

USE = re.compile(r"\buse (\w+) with (\{.*?\})(?=\s|$)", re.DOTALL)
SAY = re.compile(r"\bsay (.+)", re.DOTALL)
_GENERATE = re.compile(r"/v1/models/([^:]+):(?:g|(streamG))enerateContent")
RETURNED = "the tool returned: "


class WrongError(Exception):
    """A request that the real API rejects."""


@dataclass
class Seen:
    """A request as it arrived. `headers` have names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None


@dataclass
class Asked:
    """The parts of a request that the answer depends on. `results` are those after the user's last text."""

    text: str = ""
    results: list[str] = field(default_factory=list)
    tools: set[str] = field(default_factory=set)
    is_thinking: bool = False
    calls: set[str] = field(default_factory=set)

    def hear(self, text: str) -> None:
        self.text, self.results = text, []

    def call(self, call_id: str) -> None:
        self.calls.add(call_id)

    def get(self, call_id: str, result: str) -> None:
        if call_id not in self.calls:
            raise WrongError(f"no call has the id {call_id}")
        self.results.append(result)


class Obedient:
    """A provider at `base_url`. `requests` are those that it received, and `messages` those with a conversation."""

    def __init__(self) -> None:
        self.base_url = ""
        self.requests: list[Seen] = []

    @property
    def root(self) -> str:
        return self.base_url.removesuffix("/v1")

    @property
    def messages(self) -> list[Seen]:
        return [
            seen
            for seen in self.requests
            if seen.body is not None and not seen.path.lower().endswith(("count_tokens", ":counttokens"))
        ]

    async def serve(self, peer: Peer) -> None:
        while True:
            seen = _parsed(await peer.request())
            self.requests.append(seen)
            status, kind, body = self._answer(seen)
            head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            peer.send(head.encode(), body)
            await peer.drain()

    def _answer(self, seen: Seen) -> tuple[int, str, bytes]:
        path = seen.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            return 200, "application/json", json.dumps({"input_tokens": 1234}).encode()
        if path.endswith(":countTokens"):
            return 200, "application/json", json.dumps({"totalTokens": 1234}).encode()
        if path.endswith(":batchEmbedContents"):
            vectors = [
                {"values": [float(len(one["content"]["parts"][0]["text"])), 0.5]} for one in seen.body["requests"]
            ]
            return 200, "application/json", json.dumps({"embeddings": vectors}).encode()
        is_gemini = _GENERATE.fullmatch(path)
        known = (_gemini, answers.gemini) if is_gemini else _DIALECTS.get(path)
        if known is None or seen.body is None:
            return 404, "application/json", b'{"error":{"type":"not_found_error","message":"no such path"}}'
        read, write = known
        try:
            asked = read(seen)
        except WrongError as error:
            message = {"type": "error", "error": {"type": "invalid_request_error", "message": str(error)}}
            return 400, "application/json", json.dumps(message).encode()
        model, number = is_gemini[1] if is_gemini else seen.body["model"], len(self.requests)
        whole, events = write(_reply(asked, number), model, number)
        if not (is_gemini[2] if is_gemini else seen.body.get("stream")):
            return 200, "application/json", json.dumps(whole).encode()
        return 200, "text/event-stream", b"".join(events)


def _parsed(raw: bytes) -> Seen:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Seen(method, path, headers, json.loads(body) if body else None)


def _reply(asked: Asked, number: int) -> Reply:
    reply = Reply(reasoning="thinking hard" if asked.is_thinking else "")
    wanted = [(name, arguments) for name, arguments in USE.findall(asked.text) if name in asked.tools]
    said = SAY.search(asked.text)
    if asked.results:
        reply.text = RETURNED + " and ".join(asked.results)
    elif wanted:
        reply.calls = [(f"call_{number}_{at}", name, arguments) for at, (name, arguments) in enumerate(wanted)]
    else:
        reply.text = said[1] if said else "as you wish, and no more"
    return reply


def _texts(content: Any) -> Iterator[str]:
    """Yield the texts of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        yield content
    else:
        for part in content or ():
            if "text" in part:
                yield part["text"]


def _anthropic(seen: Seen) -> Asked:
    body, asked = seen.body, Asked()
    version = seen.headers.get("anthropic-version")
    credential = seen.headers.get("x-api-key") or seen.headers.get("authorization")
    if version not in ("2023-06-01", "2026-10-21") or not credential:
        raise WrongError("anthropic-version and a credential are required")
    if version == "2026-10-21" and not {"temperature", "top_p", "top_k"}.isdisjoint(body):
        raise WrongError("temperature: Extra inputs are not permitted")
    if not isinstance(body.get("max_tokens"), int):
        raise WrongError("max_tokens: Field required")
    asked.tools = {tool["name"] for tool in body.get("tools") or ()}
    thinking = body.get("thinking") or {}
    asked.is_thinking = thinking.get("type") in ("enabled", "adaptive")
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        raise WrongError("max_tokens must be greater than thinking.budget_tokens, which must be at least 1024")
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        said = "\n".join(block["text"] for block in blocks if block["type"] == "text")
        for block in blocks:
            if block["type"] == "tool_use":
                asked.call(block["id"])
        results = [block for block in blocks if block["type"] == "tool_result"]
        if message["role"] == "user" and said and not results:
            asked.hear(said)
        for block in results:
            asked.get(block["tool_use_id"], "\n".join(_texts(block.get("content"))))
    return asked


def _chat(seen: Seen) -> Asked:
    body, asked = seen.body, Asked()
    asked.tools = {tool["function"]["name"] for tool in body.get("tools") or () if tool["type"] == "function"}
    asked.is_thinking = body.get("reasoning_effort") not in (None, "none")
    for message in body["messages"]:
        said = "\n".join(_texts(message.get("content")))
        if message["role"] == "user":
            asked.hear(said)
        elif message["role"] == "tool":
            asked.get(message["tool_call_id"], said)
        for call in message.get("tool_calls") or ():
            asked.call(call["id"])
    return asked


def _responses(seen: Seen) -> Asked:
    body, asked = seen.body, Asked()
    for tool in body.get("tools") or ():
        prefix = f"{tool['name']}__" if tool["type"] == "namespace" else ""
        inner = tool["tools"] if prefix else [tool]
        asked.tools |= {prefix + one["name"] for one in inner if one["type"] in ("function", "custom")}
    asked.is_thinking = (body.get("reasoning") or {}).get("effort") not in (None, "none")
    items = body["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        if item.get("role") == "user":
            asked.hear("\n".join(_texts(item["content"])))
        elif item.get("type") in ("function_call", "custom_tool_call"):
            asked.call(item["call_id"])
        elif item.get("type") in ("function_call_output", "custom_tool_call_output"):
            asked.get(item["call_id"], "\n".join(_texts(item["output"])))
    return asked


def _gemini(seen: Seen) -> Asked:
    body, asked = seen.body, Asked()
    if "x-goog-api-key" not in seen.headers or set(body) & {"model", "messages", "stream"}:
        raise WrongError("a key is required, and no field of another API")
    asked.tools = {one["name"] for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()}
    thinking = body.get("generationConfig", {}).get("thinkingConfig") or {}
    asked.is_thinking = bool(thinking.get("includeThoughts"))
    for content in body["contents"]:
        said = "\n".join(_texts([part for part in content["parts"] if not part.get("thought")]))
        if content.get("role") != "model" and said:
            asked.hear(said)
        for part in content["parts"]:
            if "functionCall" in part:
                asked.call(part["functionCall"]["name"])
            if "functionResponse" in part:
                (output,) = part["functionResponse"]["response"].values()
                asked.get(part["functionResponse"]["name"], output)
    return asked


_DIALECTS = {
    "/v1/messages": (_anthropic, answers.anthropic),
    "/v1/chat/completions": (_chat, answers.chat),
    "/v1/responses": (_responses, answers.responses),
}

# A type of provider that speaks only this dialect, or both of OpenAI's.
TYPES = {
    "anthropic": "anthropic",
    "chat": "together",
    "responses": "perplexity",
    "openai": "openai",
    "gemini": "gemini",
}


@contextlib.asynccontextmanager
async def obedient() -> AsyncIterator[Obedient]:
    """Run an obedient provider."""
    provider = Obedient()
    async with serving(provider.serve) as origin:
        provider.base_url = f"http://127.0.0.1:{origin.origin.port}/v1"
        yield provider


def sections(upstreams: dict[str, Obedient], models: Sequence[str] = ()) -> dict[str, Any]:
    """Return the sections of a gateway's configuration in which the public model `<name>-model` is served by the
    upstream `<name>`, whose dialect `TYPES` has. `models` are further public names, served by the first upstream."""
    first = next(iter(upstreams))
    return {
        "provider_settings": {
            name: {"type": TYPES[name], "base_url": one.base_url, "keys": {"only": "env.PROVIDER_KEY"}}
            for name, one in upstreams.items()
        },
        "models": {
            **{f"{name}-model": [f"{name}/some-model"] for name in upstreams},
            **{model: [f"{first}/{model}"] for model in models},
        },
        "environ": {"PROVIDER_KEY": "sk-a-provider-key"},
    }
