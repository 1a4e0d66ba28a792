"""The turn after a recorded answer: a client of any dialect sends the answer back, as its SDK does, with a result of
each call. The provider must get its own answer, with the reasoning and the proofs that only it can read."""

import json
import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fakes import answer_facts, upstream_facts, wire
from fakes.dialects import halves
from integration.exchanges import GEMINI, Exchange, parsed, plain
from integration.replay import MAX_EVENT_BYTES, codec_for, differences, written_for
from pointsman.domain.calls import Call
from pointsman.domain.conversations import Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from pointsman.domain.pieces import Piece
from pointsman.providers.api import WholeAnswer
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.json_object import encode_object
from pointsman.wire.sse import event_data, split_events

_QUESTION = {"role": "user", "content": "question"}
_TOOLS: dict[str, Any] = {
    "openai": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "openai-responses": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "anthropic": [{"name": "f", "input_schema": {"type": "object"}}],
    GEMINI: [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
}
# A proof that only names the field of plain reasoning. The reference for a chat's stream has all in one of them.
_FORM = re.compile(r"^\w+:::$")


class Returned(Struct, frozen=True):
    """The answer in the provider's next request. `reasoning` are the texts, proofs and ids of reasoning with a
    proof, without which its author cannot use it; `links` are the calls of the
    results, in their order."""

    text: str
    calls: tuple[tuple[str, str], ...]
    reasoning: tuple[tuple[str, ...], ...]
    links: tuple[int, ...]


def next_turn_differences(one: Exchange, client: str) -> list[str]:
    """Return the differences between the next request of a client of another dialect and one of the provider's own."""
    answer = _answer(one, client)
    written = written_for(_next(client, answer), one.dialect)
    assert not written.cannot, written.cannot
    theirs = parsed(encode_object({"model": "m", **written.fields}), one.dialect)
    native = _next(one.dialect, _answer(one, one.dialect))
    return differences(returned(native), returned(theirs), "the next turn's")


def _answer(one: Exchange, client: str) -> dict[str, Any]:
    """Return the answer as a client's SDK has it."""
    codec, first = codec_for(one, client), _first(client)
    if one.recorded.is_stream and client == one.dialect == answer_facts.CHAT:
        # The SDK joins the names that providers repeat in each part of their reasoning.
        own, pieces = halves(DIALECTS[client]), list[Piece]()
        reader = own.reader()
        for event in split_events(one.recorded.body):
            data = event_data(event)
            pieces += reader.read(data, event) if data else ()
        joined: dict[str, Any] = json.loads(own.write_answer(first, 0.0, pieces))
        return joined
    if one.recorded.is_stream and client == one.dialect == GEMINI:
        return _joined(one.recorded.body)
    if one.recorded.is_stream:
        stream = wire.drain(codec.decoder(replace(first, wants_usage=True), MAX_EVENT_BYTES), [one.recorded.body])
        return answer_facts.streamed(client, stream, is_checked=False)
    answer = codec.decode(first, one.recorded.body)
    assert isinstance(answer, WholeAnswer), answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


def _joined(stream: bytes) -> dict[str, Any]:
    """Return a streamed answer of Gemini's as its SDK does: a list of all parts."""
    answers = [json.loads(one) for one in upstream_facts.events(stream)]
    parts = [part for one in answers for part in one["candidates"][0].get("content", {}).get("parts", ())]
    return {**answers[-1], "candidates": [{"content": {"role": "model", "parts": parts}}]}


def returned(call: Call) -> Returned:
    """Return the answer of an assistant in a request."""
    turns = halves(DIALECTS[call.head.dialect]).read_request(call).turns
    parts: list[Part] = [part for turn in turns if turn.role == "assistant" for part in turn.parts]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    ids = [part.id for part in calls]
    results = [part for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
    return Returned(
        text="".join(part.text for part in parts if isinstance(part, Text | Refusal)),
        calls=tuple((part.name, json.dumps(json.loads(part.arguments or "{}"), sort_keys=True)) for part in calls),
        reasoning=tuple(
            (part.text, _FORM.sub("", _numbered(part.signature, ids)), part.redacted, part.id, part.origin)
            for part in parts
            if isinstance(part, Reasoning) and (part.signature or part.redacted)
        ),
        links=tuple(ids.index(part.call_id) for part in results),
    )


def _numbered(proof: str, ids: list[str]) -> str:
    """Return a proof of Gemini's for a call with the number of the call. Google's calls may have no id."""
    kind, _, rest = proof.partition(":")
    call_id, _, signature = rest.partition(":")
    return f"call:{ids.index(call_id)}:{signature}" if kind == "call" else proof


def _first(dialect: str) -> Call:
    body = {"model": "m", "tools": _TOOLS[dialect]}
    return parsed({**body, **plain(dialect, streams=False)}, dialect)


def _next(dialect: str, answer: dict[str, Any]) -> Call:
    """Return the request with an answer and a result of each of its calls."""
    body: dict[str, Any] = {"model": "m", "tools": _TOOLS[dialect]}
    match dialect:
        case "openai":
            message = answer["choices"][0]["message"]
            message = {name: value for name, value in message.items() if value is not None and name in _SENT_BACK}
            message["role"] = "assistant"  # the SDK joins roles that a provider repeats
            results = [
                {"role": "tool", "tool_call_id": call["id"], "content": "result"}
                for call in message.get("tool_calls") or ()
            ]
            body["messages"] = [_QUESTION, message, *results, _QUESTION]
        case "anthropic":
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "result"}
                for block in answer["content"]
                if block["type"] == "tool_use"
            ]
            after = [*results, {"type": "text", "text": "question"}]
            body["messages"] = [_QUESTION, {"role": "assistant", "content": answer["content"]}]
            body["messages"].append({"role": "user", "content": after})
            body["max_tokens"] = 9
        case "gemini":
            content = answer["candidates"][0].get("content") or {}
            made = [part["functionCall"] for part in content.get("parts", ()) if "functionCall" in part]
            results = [
                {"functionResponse": {"name": call["name"], "response": {"output": "result"}}}
                | ({"id": call["id"]} if "id" in call else {})
                for call in made
            ]
            question = {"role": "user", "parts": [{"text": "question"}]}
            body["contents"] = [question, content, {"role": "user", "parts": [*results, *question["parts"]]}]
        case _:
            results = [
                {"type": "function_call_output", "call_id": item["call_id"], "output": "result"}
                for item in answer["output"]
                if item["type"] == "function_call"
            ]
            body["input"] = [_QUESTION, *answer["output"], *results, _QUESTION]
    return parsed(body, dialect)


# The fields of an answered message that clients send back.
_SENT_BACK = ("role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning", "reasoning_details")
