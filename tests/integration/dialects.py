"""Scripted providers of each dialect of conversations, and the official SDKs as clients of each.

Every script tells the same answer in its provider's dialect: reasoning, a text, and two parallel calls of a tool.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

from anthropic import APIError as AnthropicError
from anthropic import AsyncAnthropic
from msgspec import Struct
from openai import APIError as OpenAIError
from openai import AsyncOpenAI

from fakes.anthropic import stream_of
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import Gateway, serving

Dialect = Literal["chat", "messages", "responses"]
Spoken = Literal["chat", "messages", "responses", "gemini"]  # by providers
DIALECTS: tuple[Dialect, ...] = ("chat", "messages", "responses")
# Types of providers that speak one dialect only, so that clients of the others need a translation.
TYPES: dict[Spoken, str] = {
    "chat": "together",
    "messages": "anthropic",
    "responses": "perplexity",
    "gemini": "gemini",
}
PATHS: dict[Dialect, str] = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}
JSON, SSE = b"application/json", b"text/event-stream"
ERRORS = (AnthropicError, OpenAIError)
THOUGHTS, WORDS = ["Two cities", ", two calls."], ["I look ", "both ", "up \u00fc."]
CALLS = [("call_a", ['{"ci', 'ty":"Oslo"}']), ("call_b", ['{"city":', '"Rome"', "}"])]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION: list[Any] = [{"role": "user", "content": "Weather in Oslo and Rome?"}]


class Seen(Struct):
    """An answer as an SDK returns it."""

    text: str
    calls: list[tuple[str, Any]]
    reason: str | None


TOLD = Seen("".join(WORDS), [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})], "tool_calls")


class Served(Struct):
    """An HTTP answer of a scripted provider. A `killed` one ends with a reset instead of a proper end."""

    body: bytes
    status: int = 200
    kind: bytes = JSON
    lines: bytes = b""
    killed: bool = False


class ScriptedProvider:
    """A provider that sends `answer` to every request, and keeps the requests."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.answer = Served(b"")
        self.requests: list[bytes] = []

    async def script(self, peer: Peer) -> None:
        while True:
            self.requests.append(await peer.request())
            answer = self.answer
            head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\n%btransfer-encoding: chunked\r\n\r\n"
            body = b"%x\r\n%b\r\n" % (len(answer.body), answer.body) if answer.body else b""
            peer.send(head % (answer.status, answer.kind, answer.lines), body)
            if answer.killed:
                await peer.drain()
                peer.close()
                return
            peer.send(b"0\r\n\r\n")

    @property
    def last_head(self) -> str:
        return self.requests[-1].partition(b"\r\n\r\n")[0].decode().lower()

    @property
    def last_body(self) -> Any:
        return json.loads(self.requests[-1].partition(b"\r\n\r\n")[2])


@asynccontextmanager
async def serving_dialects(
    *dialects: Dialect, settings: dict[str, Any] | None = None, **sections: Any
) -> AsyncIterator[tuple[Gateway, list[ScriptedProvider]]]:
    """Run a gateway in front of scripted providers `a`, `b` and so on, which serve the model `chat` in this order.
    `settings` are those of all of them."""
    async with AsyncExitStack() as stack:
        providers, given = [], {}
        for name, dialect in zip("abcdef", dialects, strict=False):
            provider = ScriptedProvider(dialect)
            fake = await stack.enter_async_context(serving_script(provider.script))
            providers.append(provider)
            given[name] = {"type": TYPES[dialect], "base_url": f"{fake.origin}/v1", **(settings or {})}
        models = {"chat": [f"{name}/m-1" for name in given]}
        health = {"health": {"failures": 1000}}
        sections = {"models": models, "routing": health, **sections}
        async with serving(provider_settings=given, is_alone=False, **sections) as gateway:
            yield gateway, providers


# The scripts of providers.


def data_events(*chunks: Any) -> bytes:
    """Return a stream of a chat."""
    sent = [b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode() for chunk in chunks]
    return b"".join(sent) + b"data: [DONE]\n\n"


CHUNK: dict[str, Any] = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}


def chat_stream() -> bytes:
    def chunk(finish: str | None = None, **delta: Any) -> Any:
        return {**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def part(index: int, text: str) -> Any:
        return chunk(tool_calls=[{"index": index, "function": {"arguments": text}}])

    begun = [
        chunk(
            tool_calls=[
                {"index": n, "id": key, "type": "function", "function": {"name": "get_weather", "arguments": ""}}
            ]
        )
        for n, (key, _) in enumerate(CALLS)
    ]
    usage = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
    return data_events(
        chunk(role="assistant", content=""),
        *[chunk(reasoning_content=text) for text in THOUGHTS],
        *[chunk(content=text) for text in WORDS],
        begun[0],
        part(0, CALLS[0][1][0]),
        begun[1],
        *[part(1, text) for text in CALLS[1][1]],  # the parts of parallel calls may alternate
        part(0, CALLS[0][1][1]),
        chunk("tool_calls"),
        {**CHUNK, "choices": [], "usage": usage},
    )


def messages_stream() -> bytes:
    def block(index: int, begin: Any, *deltas: Any) -> list[Any]:
        return [
            {"type": "content_block_start", "index": index, "content_block": begin},
            *[{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas],
            {"type": "content_block_stop", "index": index},
        ]

    calls = [
        block(
            2 + number,
            {"type": "tool_use", "id": f"toolu_{key}", "name": "get_weather", "input": {}},
            *[{"type": "input_json_delta", "partial_json": text} for text in ["", *parts]],
        )
        for number, (key, parts) in enumerate(CALLS)
    ]
    usage = {"output_tokens": 30}
    return stream_of(
        MESSAGE_START,
        {"type": "ping"},
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            *[{"type": "thinking_delta", "thinking": text} for text in THOUGHTS],
            {"type": "signature_delta", "signature": "c2lnbmVk"},
        ),
        *block(1, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": text} for text in WORDS]),
        *calls[0],
        *calls[1],
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    )


MESSAGE_START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 1},
    },
}


def responses_stream() -> bytes:
    events: list[dict[str, Any]] = []

    def add(kind: str, **fields: Any) -> None:
        events.append({"type": f"response.{kind}", "sequence_number": len(events), **fields})

    def response(status: str, output: list[Any], usage: Any = None) -> dict[str, Any]:
        fields = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m-1", "error": None}
        return {**fields, "status": status, "output": output, "usage": usage}

    reasoning = {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "".join(THOUGHTS)}],
        "encrypted_content": "c2VjcmV0",
    }
    part = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    calls = [
        {"id": f"fc_{key}", "type": "function_call", "status": "completed", "call_id": key, "name": "get_weather"}
        | {"arguments": "".join(parts)}
        for key, parts in CALLS
    ]
    add("created", response=response("in_progress", []))
    add("in_progress", response=response("in_progress", []))
    add("output_item.added", output_index=0, item={"id": "rs_1", "type": "reasoning", "summary": []})
    for text in THOUGHTS:
        add("reasoning_summary_text.delta", item_id="rs_1", output_index=0, summary_index=0, delta=text)
    add("output_item.done", output_index=0, item=reasoning)
    add("output_item.added", output_index=1, item={**message, "status": "in_progress", "content": []})
    for text in WORDS:
        add("output_text.delta", item_id="msg_1", output_index=1, content_index=0, delta=text, logprobs=[])
    add("output_text.done", item_id="msg_1", output_index=1, content_index=0, text="".join(WORDS), logprobs=[])
    add("output_item.done", output_index=1, item=message)
    for index, (call, (_, parts)) in enumerate(zip(calls, CALLS, strict=True), 2):
        add("output_item.added", output_index=index, item={**call, "status": "in_progress", "arguments": ""})
        for text in parts:
            add("function_call_arguments.delta", item_id=call["id"], output_index=index, delta=text)
        add("output_item.done", output_index=index, item=call)
    details: dict[str, Any] = {"input_tokens_details": {}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {**details, "input_tokens": 20, "output_tokens": 30, "total_tokens": 50}
    add("completed", response=response("completed", [reasoning, message, *calls], usage))
    return stream_of(*events)


STREAMS: dict[Dialect, bytes] = {
    "chat": chat_stream(),
    "messages": messages_stream(),
    "responses": responses_stream(),
}


def chat_answer(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
    return json.dumps({**CHUNK, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def messages_answer(text: str) -> bytes:
    message = MESSAGE_START["message"] | {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
    return json.dumps(message | {"usage": {"input_tokens": 20, "output_tokens": 30}}).encode()


def responses_answer(text: str) -> bytes:
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    fields = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m-1"}
    usage = {"input_tokens": 20, "output_tokens": 30, "total_tokens": 50}
    return json.dumps({**fields, "output": [message], "usage": usage}).encode()


ANSWERS: dict[Dialect, Callable[[str], bytes]] = {
    "chat": chat_answer,
    "messages": messages_answer,
    "responses": responses_answer,
}


# The clients.


class Sdks(Struct):
    """The official SDKs, connected to one gateway."""

    openai: AsyncOpenAI
    anthropic: AsyncAnthropic

    async def stream(self, dialect: Dialect, **fields: Any) -> Seen:
        """Request a stream and read it to its end."""
        return await _STREAMED[dialect](self, fields)

    async def whole(self, dialect: Dialect) -> str:
        """Request an answer in one body, and return its text."""
        if dialect == "chat":
            chat = await self.openai.chat.completions.create(model="chat", messages=QUESTION)
            return chat.choices[0].message.content or ""
        if dialect == "messages":
            message = await self.anthropic.messages.create(model="chat", messages=QUESTION, max_tokens=4000)
            return "".join(block.text for block in message.content if block.type == "text")
        return (await self.openai.responses.create(model="chat", input=QUESTION)).output_text


@asynccontextmanager
async def sdks(gateway: Gateway, api_key: str = "unused", **options: Any) -> AsyncIterator[Sdks]:
    """Connect both SDKs. They do not retry."""
    root = gateway.base_url.removesuffix("/v1")
    how: dict[str, Any] = {"api_key": api_key, "max_retries": 0, **options}
    async with (
        AsyncOpenAI(base_url=gateway.base_url, **how) as one,
        AsyncAnthropic(base_url=f"{root}/anthropic", **how) as other,
    ):
        yield Sdks(one, other)


async def _streamed_chat(client: Sdks, fields: dict[str, Any]) -> Seen:
    function = {"name": "get_weather", "parameters": SCHEMA}
    given: dict[str, Any] = {"tools": [{"type": "function", "function": function}], **fields}
    stream: Any = await client.openai.chat.completions.create(model="chat", messages=QUESTION, stream=True, **given)
    text, calls, reason = "", dict[int, list[str]](), None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
            for call in choice.delta.tool_calls or ():
                begun = calls.setdefault(call.index, ["", ""])
                begun[0] += call.function.name or ""
                begun[1] += call.function.arguments or ""
    return Seen(text, [(name, json.loads(arguments)) for name, arguments in calls.values()], reason)


async def _streamed_message(client: Sdks, fields: dict[str, Any]) -> Seen:
    tools: Any = [{"name": "get_weather", "input_schema": SCHEMA}]
    given: dict[str, Any] = {"tools": tools, "max_tokens": 4000, **fields}
    async with client.anthropic.messages.stream(model="chat", messages=QUESTION, **given) as stream:
        message = await stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    return Seen(text, calls, "tool_calls" if message.stop_reason == "tool_use" else message.stop_reason)


async def _streamed_response(client: Sdks, fields: dict[str, Any]) -> Seen:
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
    stream: Any = await client.openai.responses.create(
        model="chat", input=QUESTION, stream=True, store=False, **{"tools": tools, **fields}
    )
    seen = Seen("", [], None)
    async for event in stream:
        if event.type == "response.completed":
            output = event.response.output
            seen.text = event.response.output_text
            seen.calls = [(item.name, json.loads(item.arguments)) for item in output if item.type == "function_call"]
            seen.reason = "tool_calls" if seen.calls else "stop"
    return seen


_STREAMED: dict[Dialect, Callable[[Sdks, dict[str, Any]], Awaitable[Seen]]] = {
    "chat": _streamed_chat,
    "messages": _streamed_message,
    "responses": _streamed_response,
}
