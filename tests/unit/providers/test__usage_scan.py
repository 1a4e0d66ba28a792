"""The usage in an answer is found at any place and every cut, in bounded memory."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pointsman.domain.outcomes import Usage
from pointsman.providers._typed_stream import TypedStream
from pointsman.providers._usage_scan import MAX_BRACKETS, EventsScan, JsonScan, usage_in
from pointsman.wire.usage import MAX_USAGE_BYTES

USED = {"input_tokens": 30, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}}
READ = Usage(30, 5, 0, 2, tools=())  # its output is present, without calls of tools
SEARCHED = replace(READ, tools=(("web_search", 1),))
TOOLS = [{"type": "function", "name": "f", "parameters": {"usage": {"input_tokens": 9}}}] * 3
TEXT = 'he said "usage": {"input_tokens": 7} \\ and } ] left'

OUTPUT = [{"type": "message", "content": [{"text": TEXT}]}]


def response(*, first: bool, **fields: object) -> dict[str, object]:
    """Return a response as SGLang writes it, with its usage before the long fields, or as OpenAI does."""
    others: dict[str, object] = {"instructions": TEXT * 50, "tools": TOOLS, "output": OUTPUT}
    usage: dict[str, object] = {"usage": USED}
    return {"id": "r", **(usage | others if first else others | usage), **fields}


def json_of(value: object, *, is_spaced: bool = False) -> bytes:
    return json.dumps(value, separators=None if is_spaced else (",", ":"), indent=2 if is_spaced else None).encode()


def event(name: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json_of({"type": name, **fields}))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


PLACES = st.lists(st.integers(0, 12_000), max_size=12)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_spaced", [True, False])
@given(places=PLACES)
def test_usage_of_response_is_found_at_every_cut(is_first: bool, is_spaced: bool, places: list[int]) -> None:
    body = json_of(response(first=is_first), is_spaced=is_spaced)
    scan = JsonScan()
    for piece in cut(body, places):
        scan.feed(piece)
    assert scan.read() == usage_in(body) == READ


@pytest.mark.parametrize("is_first", [True, False])
def test_usage_of_response_is_found_byte_by_byte(is_first: bool) -> None:
    body = json_of(response(first=is_first, service_tier="flex"))
    scan = JsonScan()
    for at in range(len(body)):
        scan.feed(body[at : at + 1])
    assert scan.read() == usage_in(body) == replace(READ, tier="flex")


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b'{"usage":null,"a":{"usage":{"input_tokens":9}}}', None),
        (b'{"a":[{"usage":{"input_tokens":9}}],"usage":{"input_tokens":3}}', Usage(3)),
        (b'{"usage":{"input_tokens":3},"a":{"usage":{"input_tokens":9}}}', Usage(3)),
        (b'{"usage":{"input_tokens":9},"usage":{"input_tokens":3}}', Usage(3)),
        (b'{"a":"\\"usage\\":{\\"input_tokens\\":9}","b":""}', None),
        (b'{"response":{"usage":{"input_tokens":3}},"x":{"usage":{"input_tokens":9}}}', Usage(3)),
        (b'{"usage":{"type":"duration","seconds":9}}', None),
        (b'{"usage":{"input_tokens":-1}}', None),
        (b'{"usage":"much"}', None),
        (b'["usage",{"input_tokens":3}]', None),
        (b"", None),
    ],
)
def test_only_usage_of_the_answer_itself_counts(body: bytes, usage: Usage | None) -> None:
    assert usage_in(body) == usage
    for size in (1, 7, len(body) or 1):
        scan = JsonScan()
        for at in range(0, len(body), size):
            scan.feed(body[at : at + size])
        assert scan.read() == usage


def test_usage_of_truncated_answer_is_found() -> None:
    body = json_of(response(first=True))[:-30]
    assert usage_in(body) == Usage(30, 5, 0, 2)


@pytest.mark.parametrize(
    ("account", "tools"),
    [
        ({}, ()),
        ({"num_sources_used": 7}, (("live_search", 7),)),
        ({"num_sources_used": 0}, ()),
        (
            {"server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1}},
            (("web_search", 2), ("x_search", 1)),
        ),
        ({"server_side_tool_usage_details": {"SERVER_SIDE_TOOL_WEB_SEARCH": 3}}, (("web_search", 3),)),
        ({"server_tool_use": {"web_search_requests": 2}}, (("web_search", 2),)),
        ({"tool_calls_details": {"fetch_url": {"invocation": 4}}}, (("fetch_url", 4),)),
        ({"tool_calls_details": "many"}, ()),
    ],
)
def test_tool_calls_are_read_from_usage_of_each_provider(
    account: dict[str, object], tools: tuple[tuple[str, int], ...]
) -> None:
    usage = usage_in(json_of({"output": [], "usage": USED | account}))
    assert usage is not None
    assert usage.tools == tools


def test_endless_usage_is_not_buffered() -> None:
    scan = JsonScan()
    scan.feed(b'{"usage":{"input_tokens":3')
    for _ in range(4):
        scan.feed(b" " * (MAX_USAGE_BYTES // 3))
    scan.feed(b'},"b":1}')
    assert scan.read() is None


def test_piece_of_brackets_is_not_scanned() -> None:
    scan = JsonScan()
    scan.feed(b'{"usage":{"input_tokens":3},"a":[' + b"[]," * MAX_BRACKETS)
    assert scan.read() is None


CREATED = event("response.created", response={"usage": None, "output": []})
DELTA = event("response.output_text.delta", delta=TEXT)
ITEM = event("response.output_item.done", item={"type": "web_search_call", "id": "ws"})
COMPLETED = event("response.completed", response=response(first=True))


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(places=PLACES)
def test_usage_of_stream_is_found_at_every_cut(line_end: bytes, places: list[int]) -> None:
    stream = (CREATED + DELTA * 20 + ITEM + COMPLETED).replace(b"\n", line_end)
    decoder = TypedStream("responses")
    for piece in cut(stream, places):
        decoder.feed(piece)
    assert decoder.usage == SEARCHED


def test_tool_calls_are_counted_once() -> None:
    output = [{"type": "web_search_call"}, {"type": "message"}, {"type": "web_search_call"}, {"type": "mcp_call"}]
    scan = EventsScan()
    scan.take(ITEM + ITEM)
    assert scan.calls == {"web_search_call": 2}
    scan.take(event("response.completed", response={**response(first=True), "output": output}))
    assert scan.calls == {"web_search_call": 2, "mcp_call": 1}
