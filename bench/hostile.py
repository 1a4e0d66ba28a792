"""Bodies and answers that are hard to read, each kind in any size. Honest ones must be served. The others are as dense,
as deep, or as long in one place as bytes can be."""

import gzip
import json
import zlib
from collections.abc import Callable

from msgspec import Struct

CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS = "/chat/completions", "/responses", "/embeddings", "/completions"
JSON_TYPE, FORM_TYPE = "application/json", "multipart/form-data; boundary=b"


class Body(Struct, frozen=True):
    """A kind of request. `make` takes the approximate number of bytes. An `honest` request must be served."""

    path: str
    make: Callable[[int], bytes]
    content_type: str = JSON_TYPE
    honest: bool = False
    target: Callable[[int], str] | None = None  # replaces `path`, for long heads


class Reply(Struct, frozen=True):
    """A kind of answer to a `path`. `make` returns the header lines and the body. `stream` is the request's field."""

    make: Callable[[int], tuple[str, bytes]]
    path: str = CHAT
    stream: bool = False
    status: int = 200
    honest: bool = False


def _filled(before: str, unit: str, after: str) -> Callable[[int], bytes]:
    """Repeat `unit` up to the size; `{n}` in it is its number."""

    def make(size: int) -> bytes:
        count = max(1, (size - len(before) - len(after)) // max(len(unit.encode()), 1))
        if "{n}" in unit:
            middle = "".join([unit.replace("{n}", f"{number:x}") for number in range(count)])
        else:
            middle = unit * count
        return (before + middle.removesuffix(",") + after).encode()

    return make


def _chat(unit: str, before: str = "", after: str = "") -> Callable[[int], bytes]:
    """Build a chat whose `messages` are filled with `unit`."""
    return _filled('{"model":"m","messages":[' + before, unit, after + "]}")


def _content(unit: str) -> Callable[[int], bytes]:
    return _chat(unit, '{"role":"user","content":[', "]}")


def _field(name: str, before: str, unit: str, after: str) -> Callable[[int], bytes]:
    message = '{"model":"m","messages":[{"role":"user","content":"hello"}],"'
    return _filled(message + name + '":' + before, unit, after + "}")


def _input(unit: str, before: str = "", after: str = "") -> Callable[[int], bytes]:
    return _filled('{"model":"m","input":[' + before, unit, after + "]}")


def _nested(count: int) -> Callable[[int], bytes]:
    """Build as many values of that depth as fit."""
    unit = "[" * count + "]" * count + ","
    return _chat(unit, '{"role":"user","content":"x","more":[', "]}")


def _part(name: str, content: str = "1") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{content}\r\n'


def _form(unit: str, after: str = "") -> Callable[[int], bytes]:
    return _filled(_part("model", "m"), unit, after + "--b--\r\n")


def _head(line: Callable[[int], str]) -> Callable[[int], bytes]:
    """Build a form with a part whose head has this line, of up to about eight thousand characters."""

    def make(size: int) -> bytes:
        return f"{_part('model', 'm')}--b\r\n{line(min(size, 8000))}\r\n\r\nx\r\n--b--\r\n".encode()

    return make


_IMAGE = "A" * (2 * 1024 * 1024 * 4 // 3)


def _images(size: int) -> bytes:
    """Build images of 2 MiB, at most twenty."""
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_IMAGE}"}}
    text = {"type": "text", "text": "What do these show?"}
    content = [text, *[part] * max(1, min(20, size // len(_IMAGE) - 1))]
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()


def _messages(size: int) -> bytes:
    """Build ten thousand messages of equal length that fill the size, formatted as Python formats JSON."""
    text = ("Tell me more, please. Why is that so? " * (1 + size // 400_000))[: max(1, size // 10_000 - 40)]
    turns = [{"role": ("user", "assistant")[number % 2], "content": text} for number in range(9_999)]
    return json.dumps({"model": "m", "messages": [*turns, {"role": "user", "content": "é"}]}).encode()


def _embeddings(size: int) -> bytes:
    text = ("A sentence that is to be found again. " * (1 + size // 70_000))[: max(1, size // 2_048 - 4)]
    return json.dumps({"model": "m", "input": [text] * 2_048}).encode()


def _tokens(_: int) -> bytes:
    """Build 2,048 inputs of numbers, three hundred thousand in total: the most that OpenAI accepts."""
    return json.dumps({"model": "m", "input": [[1000 + number for number in range(146)]] * 2_048}).encode()


def _tools(size: int) -> bytes:
    fields = {f"field_{number}": {"type": "string", "description": "What it is for."} for number in range(20)}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    words = "It does what it says. " * (1 + size // 25_000)
    tools = [
        {
            "type": "function",
            "function": {"name": f"f{number}", "description": words[: size // 1200], "parameters": schema},
        }
        for number in range(1_000)
    ]
    messages = [{"role": "user", "content": "hello"}]
    return json.dumps({"model": "m", "messages": messages, "tools": tools}).encode()


def _long_text(size: int) -> bytes:
    text = 'He said: "You, there!"\nfor (i = 0; i < n; i++) { a[i] = {b: "\\\\c"}; }\n'
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text * (size // 90)}]}).encode()


def _screens(size: int) -> bytes:
    """Build a response's input with screenshots between its items."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And this?"}]}
    shot = {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}}
    shot["output"] = {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{_IMAGE[: 1 << 20]}"}
    return json.dumps({"model": "m", "input": [item, shot] * max(1, min(40, size // (1 << 20) - 1))}).encode()


BODIES: dict[str, Body] = {
    # Honest requests.
    "honest: one short message": Body(
        CHAT, lambda _: _messages(0)[:0] + b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', honest=True
    ),
    "honest: images of 2 MiB": Body(CHAT, _images, honest=True),
    "honest: 10,000 messages": Body(CHAT, _messages, honest=True),
    "honest: 2,048 inputs": Body(EMBEDDINGS, _embeddings, honest=True),
    "honest: 2,048 inputs of numbers": Body(EMBEDDINGS, _tokens, honest=True),
    "honest: 1,000 tools": Body(CHAT, _tools, honest=True),
    "honest: one long text": Body(CHAT, _long_text, honest=True),
    "honest: one long text of a completion": Body(
        COMPLETIONS, _filled('{"model":"m","prompt":"', "All work and no play. ", '"}'), honest=True
    ),
    "honest: screenshots in a response": Body(RESPONSES, _screens, honest=True),
    "honest: one recording": Body(
        "/audio/transcriptions",
        _filled(_part("model", "m") + _part("file", ""), "\x00" * 64, "\r\n--b--\r\n"),
        FORM_TYPE,
    ),
    # Many small values.
    "input: numbers": Body(RESPONSES, _input("1,")),
    "input: texts": Body(RESPONSES, _input('"",')),
    "input: empty objects": Body(RESPONSES, _input("{},")),
    "input: empty lists": Body(RESPONSES, _input("[],")),
    "input: messages": Body(RESPONSES, _input('{"role":"user","content":"a"},')),
    "input: numbers beside an image": Body(RESPONSES, _input("1,", '{"type":"input_image","image_url":""},')),
    "input: images": Body(RESPONSES, _input('{"content":[{"type":"input_image"}]},')),
    "input: escaped names": Body(RESPONSES, _input('{"\\u0069nput_image":1},')),
    "content: empty objects": Body(CHAT, _content("{},")),
    "content: texts": Body(CHAT, _content('{"type":"text","text":"a"},')),
    "content: images": Body(CHAT, _content('{"type":"image_url"},')),
    "content: recordings": Body(CHAT, _content('{"type":"input_audio","input_audio":{"data":""}},')),
    "content: numbers": Body(CHAT, _content("1,")),
    "messages: short ones": Body(CHAT, _chat('{"role":""},')),
    "messages: with lists": Body(CHAT, _chat('{"role":"","content":[{}]},')),
    "messages: with many names": Body(CHAT, _chat('"{n}":1,', '{"role":"user",', "}")),
    "tools: numbers": Body(CHAT, _field("tools", "[", "1,", "]")),
    "tools: objects": Body(CHAT, _field("tools", "[", "{},", "]")),
    "tools: one deep schema": Body(CHAT, _field("tools", '[{"a":', '[{"a":', "1" + "}]" * 1)),
    "functions: numbers": Body(CHAT, _field("functions", "[", "1,", "]")),
    "stop: texts": Body(CHAT, _field("stop", "[", '"",', "]")),
    "modalities: texts": Body(CHAT, _field("modalities", "[", '"",', "]")),
    "logit_bias: many": Body(CHAT, _field("logit_bias", "{", '"{n}":1,', "}")),
    "response_format: many names": Body(CHAT, _field("response_format", "{", '"{n}":1,', "}")),
    "stream_options: many names": Body(CHAT, _field("stream_options", "{", '"{n}":1,', "}")),
    "embeddings: texts": Body(EMBEDDINGS, _input('"",')),
    "embeddings: numbers": Body(EMBEDDINGS, _input("1,")),
    "embeddings: lists of numbers": Body(EMBEDDINGS, _input("[1],")),
    "completions: prompts": Body(COMPLETIONS, _filled('{"model":"m","prompt":[', '"",', "]}")),
    "completions: numbers": Body(COMPLETIONS, _filled('{"model":"m","prompt":[', "1,", "]}")),
    "moderations: texts": Body("/moderations", _input('"",')),
    "any: lists in lists": Body(CHAT, _nested(64)),
    # Top-level fields.
    "top: many names": Body(CHAT, _field("x", "1,", '"{n}":1,', '"z":1')),
    "top: one name again and again": Body(CHAT, _field("x", "1,", '"x":1,', '"z":1')),
    "top: a long name": Body(CHAT, _field("x", '1,"', "a", '":1')),
    "top: a long name beside a repeated one": Body(CHAT, _field("x", '1,"x":2,"', "a", '":1')),
    "top: a long name of escapes beside a repeated one": Body(CHAT, _field("x", '1,"', "\\u0061", '":1,"x":2')),
    "top: white space": Body(CHAT, _field("x", "1", " ", "")),
    "top: white space beside a repeated name": Body(CHAT, _field("x", '1,"x":1', " ", "")),
    "model: a long one": Body(CHAT, _filled('{"messages":[{"role":"user","content":""}],"model":"', "é", '"}')),
    "user: a long one with emoji": Body(CHAT, _field("user", '"\U0001f600', "é", '"')),
    "role: a long one with emoji": Body(CHAT, _chat("é", '{"content":"","role":"\U0001f600', '"}')),
    "text: backslashes": Body(CHAT, _chat("\\\\", '{"role":"user","content":"', '"}')),
    "text: quotation marks": Body(CHAT, _chat('\\"', '{"role":"user","content":"', '"}')),
    "text: escapes": Body(CHAT, _chat("\\u00e9", '{"role":"user","content":"', '"}')),
    "text: other letters": Body(CHAT, _chat("日本", '{"role":"user","content":"\U0001f600', '"}')),
    "text: half pairs": Body(CHAT, _chat("\\ud800", '{"role":"user","content":"', '"}')),
    "no JSON: brackets": Body(CHAT, _filled("", "[", "")),
    "no JSON: quotation marks": Body(CHAT, _filled("{", '"', "")),
    "no JSON: cut off": Body(CHAT, lambda size: _messages(size)[:-3]),
    "no UTF-8": Body(CHAT, lambda size: _long_text(size)[:-8] + b"\xff" + _long_text(0)),
    # Forms and heads.
    "form: tiny parts": Body("/audio/transcriptions", _form(_part("a")), FORM_TYPE),
    "form: delimiters": Body("/audio/transcriptions", _form("--b", ""), FORM_TYPE),
    "form: line ends": Body("/audio/transcriptions", _form(_part("a", "\r\n" * 1000)), FORM_TYPE),
    "form: spaces in a disposition": Body(
        "/audio/transcriptions",
        _head(lambda size: 'Content-Disposition: form-data; name="a"' + " " * size + "x"),
        FORM_TYPE,
    ),
    "form: a control character in a header": Body(
        "/audio/transcriptions", _head(lambda size: "Content-Disposition:" + " " * size + "\x01"), FORM_TYPE
    ),
    "form: many parameters": Body(
        "/audio/transcriptions",
        _head(lambda size: "Content-Disposition: form-data" + ";a=a" * (size // 4) + " \\"),
        FORM_TYPE,
    ),
    "head: a long content type of spaces": Body(
        "/audio/transcriptions", _form(_part("a")), "multipart/form-data; boundary=b" + " " * 60_000 + "x"
    ),
    "head: a long content type of charsets": Body(
        "/audio/transcriptions", _form(_part("a")), "multipart/form-data; boundary=b" + ";charset=utf-8" * 4_000 + "x"
    ),
    "head: a long path": Body(CHAT, lambda _: b"{}", target=lambda size: "/files/" + "a" * min(size, 60_000)),
    "head: a long query": Body(CHAT, lambda _: b"{}", target=lambda size: "/files?" + "a=b&" * min(size // 4, 15_000)),
}


_DONE = b"data: [DONE]\n\n"
_TYPES = {"json": "content-type: application/json\r\n", "events": "content-type: text/event-stream\r\n"}


def _json(before: str, unit: str, after: str) -> Callable[[int], tuple[str, bytes]]:
    fill = _filled(before, unit, after)
    return lambda size: (_TYPES["json"], fill(size))


def _events(before: bytes, unit: bytes, after: bytes = _DONE) -> Callable[[int], tuple[str, bytes]]:
    return lambda size: (_TYPES["events"], before + unit * max(1, (size - len(before)) // len(unit)) + after)


def _packed(kind: str, body: Callable[[int], bytes], encoding: str = "gzip") -> Callable[[int], tuple[str, bytes]]:
    return lambda size: (f"{_TYPES[kind]}content-encoding: {encoding}\r\n", body(size))


def _zipped(unit: bytes) -> Callable[[int], bytes]:
    """Compress about a hundred times more data, up to the largest accepted size."""

    def make(size: int) -> bytes:
        packer, packed, count = zlib.compressobj(1, wbits=31), b"", 0
        while count < size:  # the size after decompression
            packed += packer.compress(unit * (65536 // len(unit)))
            count += 65536
        return packed + packer.flush()

    return make


_START = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
_TAIL = '"usage":{"prompt_tokens":1,"completion_tokens":1}}'
_CHOICE = '{"id":"x","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"'

ANSWERS: dict[str, Reply] = {
    "honest: one short answer": Reply(_json(_CHOICE, "a", '"}}],' + _TAIL), honest=True),
    "honest: embeddings": Reply(
        _json('{"data":[{"embedding":[', "0.0123456,", "]}]," + _TAIL), EMBEDDINGS, honest=True
    ),
    "honest: a stream": Reply(
        _events(b"", _START, b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n' + _DONE),
        stream=True,
        honest=True,
    ),
    "JSON: numbers": Reply(_json('{"x":[', "1,", "]," + _TAIL)),
    "JSON: empty objects": Reply(_json('{"choices":[', "{},", "]," + _TAIL)),
    "JSON: many names": Reply(_json('{"choices":[],', '"{n}":1,', "," + _TAIL)),
    "JSON: an error with many names": Reply(_json('{"error":{', '"{n}":1,', "}}")),
    "JSON: brackets": Reply(_json("", "[", "")),
    "JSON: many usages of a response": Reply(_json('{"output":[', '{"usage":{},', "]}"), RESPONSES),
    "JSON: many names of a response": Reply(_json('{"x":1,', '"{n}":1,', '"z":1}'), RESPONSES),
    "JSON: a long usage of a response": Reply(_json('{"output":[],"usage":{"x":[', "{},", "]}}"), RESPONSES),
    "JSON: for a stream": Reply(_json('{"choices":[', '{"message":{}},', "]," + _TAIL), stream=True),
    "JSON: tool calls for a stream": Reply(
        _json('{"choices":[{"message":{"tool_calls":[', "{},", "]}}]," + _TAIL), stream=True
    ),
    "stream: blank events": Reply(_events(b"", b"\n"), stream=True),
    "stream: blank events after content": Reply(_events(_START, b"\n"), stream=True),
    "stream: comments": Reply(_events(b"", b":\n\n"), stream=True),
    "stream: comments after content": Reply(_events(_START, b":\n\n"), stream=True),
    "stream: comments that end with CR": Reply(_events(_START, b":\r\r"), stream=True),
    "stream: tiny events": Reply(_events(b"", b"data:{}\n\n"), stream=True),
    "stream: tiny events after content": Reply(_events(_START, b"data:{}\n\n"), stream=True),
    "stream: events of other kinds": Reply(_events(_START, b"event:a\nid:1\ndata:{}\n\n"), stream=True),
    "stream: one event of many lines": Reply(_events(_START, b"data:\n", b"\n" + _DONE), stream=True),
    "stream: one event of many choices": Reply(
        _events(b'data: {"choices":[{}', b",{}", b"]}\n\n" + _DONE), stream=True
    ),
    "stream: one endless line": Reply(_events(_START, b"data: aaaaaaaaaaaa", b"\n\n" + _DONE), stream=True),
    "stream: an error with many names": Reply(_events(b'data: {"error":{"a":1', b',"a":1', b"}}\n\n"), stream=True),
    "stream: tiny events of a response": Reply(_events(b"", b"data:{}\n\n"), RESPONSES, stream=True),
    "gzip: empty members": Reply(_packed("events", lambda size: gzip.compress(b"") * (size // 20)), stream=True),
    "gzip: empty members, then JSON": Reply(
        _packed("json", lambda size: gzip.compress(b"") * (size // 20) + gzip.compress(b'{"choices":[{}]}'))
    ),
    "gzip: members of a byte": Reply(_packed("json", lambda size: gzip.compress(b" ") * (size // 21)), RESPONSES),
    "gzip: comments": Reply(_packed("events", _zipped(b":\n\n")), stream=True),
    "gzip: blank events": Reply(_packed("events", _zipped(b"\n")), stream=True),
    "gzip: tiny events": Reply(_packed("events", _zipped(b"data:{}\n\n")), stream=True),
    "gzip: white space": Reply(_packed("json", _zipped(b" "))),
    "deflate: white space": Reply(_packed("json", lambda size: zlib.compress(b" " * size, 1), "deflate"), RESPONSES),
    "error: brackets": Reply(_json("", "[", ""), status=429),
    "error: many names": Reply(_json('{"error":{', '"{n}":1,', "}}"), status=500),
    "error: many messages": Reply(_json("", '{"message":"', ""), status=400),
    "error: digits": Reply(_json('{"error":{"message":"', "try again in 1", '"}}'), status=429),
    "error: spaces": Reply(_json('{"error":{"message":"try again in ', " ", '"}}'), status=429),
    "head: many lines of one name": Reply(
        lambda size: ("".join(["a: b\r\n" for _ in range(min(size // 6, 10_000))]), b"{}"), status=200
    ),
    "head: many names": Reply(
        lambda size: ("".join([f"x{number}: b\r\n" for number in range(min(size // 9, 6_000))]), b"{}"), status=200
    ),
    "head: retry-after of spaces and digits": Reply(
        lambda size: (f"retry-after: {'1 ' * min(size // 2, 30_000)}x\r\n", b"{}"), status=429
    ),
}
