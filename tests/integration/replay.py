"""Recorded exchanges, played through a gateway in a process of its own.

A server answers as the provider did. A client makes the recorded call at the gateway, in the same dialect and in each
other. The gateway's request to the provider, and its answer to the client, are compared with the recording.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httptools
from msgspec import Struct
from msgspec.structs import replace

from fakes import answer_facts, bedrock, cohere, upstream_facts, wire
from fakes.corpora import Recorded
from fakes.dialects import halves
from fakes.dialogues import Asked, asked, asked_in
from integration.client import Answer, Client
from integration.exchanges import (
    BEDROCK,
    COHERE,
    GEMINI,
    PATHS,
    Exchange,
    call_of,
    facts_in,
    parsed,
    plain,
    recorded_facts,
)
from integration.gateway import Gateway, serving, until
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.conversations import Written
from pointsman.providers import PROVIDERS, codec_of, dialects_of
from pointsman.providers._translated import TranslatedCodec
from pointsman.providers.api import Codec, WholeAnswer
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.heads import FORWARDED
from pointsman.wire.json_object import encode_object
from pointsman.wire.translation import translate
from pointsman.wire.upstreams import SPOKEN

MAX_EVENT_BYTES = 2**24
# Readers of requests in the dialects that no client speaks.
CONVERSATION_OF = {BEDROCK: bedrock.conversation_of, COHERE: cohere.conversation_of}
_BOUND = 1000  # tokens: one dialect requires a bound
_CHUNK = 777  # bytes: the server's streams arrive in pieces that are no events
_OF_ANTHROPIC = {"anthropic-version": "2023-06-01", "anthropic-beta": "mcp-client-2025-04-04,code-execution-2025-08-25"}


class RecordedProvider:
    """A server that answers each request as the recording `playing` does. `seen` are the requests since it was set."""

    def __init__(self) -> None:
        self.playing: Recorded | None = None
        self.seen: list[Seen] = []
        self.answered: list[tuple[Exchange, str, str]] = []  # with the client's path and the id of its request
        self.port = 0

    def play(self, recorded: Recorded) -> None:
        self.playing, self.seen = recorded, []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        seen = Seen()
        parser = httptools.HttpRequestParser(seen)
        while not seen.is_complete:
            data = await reader.read(65536)
            if not data:
                return False
            parser.feed_data(data)
        seen.method, seen.target = parser.get_method().decode(), seen.target
        self.seen.append(seen)
        recorded = self.playing
        assert recorded is not None
        kind = recorded.received.get("content-type", "application/json")
        head = f"HTTP/1.1 {recorded.status} Recorded\r\ncontent-type: {kind}\r\n"
        if not recorded.is_stream:
            writer.write(f"{head}content-length: {len(recorded.body)}\r\n\r\n".encode() + recorded.body)
        else:
            writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
            for at in range(0, len(recorded.body), _CHUNK):
                piece = recorded.body[at : at + _CHUNK]
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


class Seen:
    """One request that the provider received."""

    def __init__(self) -> None:
        self.method = ""
        self.target = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True


@contextlib.asynccontextmanager
async def replaying(exchanges: Sequence[Exchange]) -> AsyncIterator[tuple[Gateway, RecordedProvider]]:
    """Run a gateway in front of the recorded providers."""
    provider = RecordedProvider()
    async with provider.running():
        entries: dict[str, Mapping[str, Any]] = {
            one.provider: {
                "type": one.type,
                "base_url": f"http://127.0.0.1:{provider.port}{one.base_path}",
                "keys": {"only": ""},
            }
            | ({"region": "us-east-1"} if one.type == "bedrock" else {})
            for one in exchanges
        }
        async with serving(provider_settings=entries, as_process=True) as gateway:
            yield gateway, provider


async def play_natively(gateway: Gateway, provider: RecordedProvider, one: Exchange) -> list[str]:
    """Make the recorded call in its own dialect. Return the differences from the recording."""
    recorded = one.recorded
    body, path = recorded.request, f"/v1{one.path}"
    if one.dialect == GEMINI:
        path = f"/genai/v1beta/models/{one.provider}/{one.model}:{one.path.partition(':')[2]}"
    elif one.model:
        body = json.dumps({**json.loads(body), "model": f"{one.provider}/{one.model}"}).encode()
    # The recordings lack these headers, which every client of Anthropic's sends.
    more = _OF_ANTHROPIC if one.type == "anthropic" else {}
    answer = await _ask(gateway, provider, one, body, path, {**recorded.sent, **more})
    if not provider.seen:
        return [f"the gateway answered itself: {answer.status} {answer.body[:300].decode()}"]
    return [*_request_differences(one, provider.seen), *_answer_differences(one, answer)]


async def play_across(gateway: Gateway, provider: RecordedProvider, one: Exchange, client: str) -> list[str]:
    """Make the recorded call in another dialect. Return the differences of the facts.

    A request that the dialect of the client cannot express is replaced by a plain one, so that the answer is read all
    the same. The gateway translates for a provider into the first dialect that it speaks. Other dialects of the
    provider are translated here, by the same codec.
    """
    body = translated(call_of(one), client) if one.is_native else _rewritten(one, client)
    is_same = body is not None
    body = {**(body or {}), **({} if is_same else plain(client, streams=False))}
    body |= {name: value for name, value in plain(client, streams=one.recorded.is_stream).items() if "stream" in name}
    body["model"] = f"{one.provider}/{one.model}"
    data = json.dumps(body).encode()
    if _is_spoken_to(one, client):
        answer = await _ask(gateway, provider, one, data, f"/v1{PATHS[client]}", {})
        if not provider.seen:
            return [f"the gateway answered itself: {answer.status} {answer.body[:300].decode()}"]
        sent, received, status = provider.seen[-1].body, answer.body, answer.status
    else:
        sent, received, status = _by_codec(one, client, data)
    found = []
    if is_same:
        found += differences(_asked(one, one.recorded.request), _asked(one, sent), "the request's")
    if one.recorded.status != 200:
        error = json.loads(received)["error"]
        is_told = status == one.recorded.status and isinstance(error["message"], str)
        return found if is_told else [*found, f"the error is {status} {error}"]
    return [*found, *answer_differences(one, client, received)]


def _asked(one: Exchange, request: bytes) -> Asked:
    """Return the facts in a request to a provider. Texts, calls and results count in dialects that no client speaks."""
    if one.is_native:
        return asked(parsed(request, one.dialect))
    return asked_in(CONVERSATION_OF[one.dialect](json.loads(request)))


def _rewritten(one: Exchange, client: str) -> dict[str, Any] | None:
    """Return the texts, calls and results of a request that no client can make, in the dialect of one. It is `None` if
    that cannot express them."""
    conversation = replace(CONVERSATION_OF[one.dialect](json.loads(one.recorded.request)), max_tokens=_BOUND)
    written = halves(DIALECTS[client]).write_request(conversation, one.recorded.is_stream)
    return None if written.cannot else dict(json.loads(encode_object(written.fields)))


def _is_spoken_to(one: Exchange, client: str) -> bool:
    """Return whether the gateway serves a client by the recorded API. It calls Claude at Bedrock by another."""
    spoken = dialects_of(PROVIDERS[one.type])
    is_claude = one.dialect == BEDROCK and "claude" in one.model
    return client not in spoken and spoken[0] == one.dialect and not is_claude


def codec_for(one: Exchange, client: str) -> Codec:
    """Return the codec for a client's calls at the provider's API of the recorded dialect."""
    provider, theirs = PROVIDERS[one.type], SPOKEN[one.dialect]
    native = codec_of(one.type, theirs.operation, one.dialect)
    if client == one.dialect:
        return native
    return TranslatedCodec(
        native=native,
        ours=halves(DIALECTS[client]),
        theirs=theirs.halves,
        operation=theirs.operation,
        head=RequestHead(path=theirs.path, dialect=theirs.name, content_type="application/json"),
        errors=provider.errors,
        splitter=provider.splitter,
    )


def _by_codec(one: Exchange, client: str, body: bytes) -> tuple[bytes, bytes, int]:
    """Return the request to the provider, the answer for the client, and its status."""
    call, codec = wire.parse(body, PATHS[client], dialect=client), codec_for(one, client)
    candidate = wire.target(one.type, one.model)
    sent = codec.encode(call, candidate, candidate.endpoint.keys[0]).body
    if not codec.is_answer(one.recorded.status):
        failure = codec.failure(one.recorded.status, {}, one.recorded.body, 0.0)
        return sent, DIALECTS[client].error_body(failure, "request"), failure.kind.status
    if one.recorded.is_stream:
        decoder = codec.decoder(call, MAX_EVENT_BYTES)
        received = wire.drain(decoder, [one.recorded.body])
        assert decoder.failure is None, decoder.failure
        return sent, received, one.recorded.status
    found = codec.decode(call, one.recorded.body)
    assert isinstance(found, WholeAnswer), found
    return sent, found.body, one.recorded.status


def written_for(call: Call, client: str) -> Written:
    """Return a recorded request as another dialect writes it."""
    return translate(halves(DIALECTS[call.head.dialect]), halves(DIALECTS[client]), call, reasons=True)


def translated(call: Call, client: str) -> dict[str, Any] | None:
    """Return the body of a recorded request in another dialect; `None` if the dialect cannot express it."""
    written = written_for(call, client)
    if written.cannot or written.dropped:
        return None
    fields: dict[str, Any] = json.loads(encode_object(written.fields))
    return fields


def as_a_stream(one: Exchange) -> Exchange:
    """Return an exchange whose whole answer is streamed, as a provider of its dialect would do it."""
    if one.is_native:
        own, call = halves(DIALECTS[one.dialect]), call_of(one)
        if one.dialect == answer_facts.CHAT:
            call = replace(call, wants_usage=True)
        stream = own.writer(call, 0.0).write(own.read_answer(one.recorded.body))
    else:
        stream = upstream_facts.as_a_stream(one.dialect, one.recorded.body)
    return replace(one, recorded=replace(one.recorded, is_stream=True, body=stream))


def answer_differences(one: Exchange, client: str, answer: bytes, *, is_stream: bool | None = None) -> list[str]:
    """Compare an answer in the client's dialect with the recorded one. It is streamed as that, if nothing is given."""
    theirs = recorded_facts(one)
    try:
        is_stream = one.recorded.is_stream if is_stream is None else is_stream
        ours = facts_in(client, answer, is_stream=is_stream, is_checked=True)
    except (AssertionError, ValueError, KeyError, TypeError, RuntimeError) as error:
        return [f"the SDK rejects the answer: {type(error).__name__}: {error}; {answer[-300:].decode()}"]
    return differences(theirs, ours, "the answer's")


def differences(first: Struct, second: Struct, owner: str) -> list[str]:
    """Return the fields in which two facts differ."""
    names = [name for name in first.__struct_fields__ if getattr(first, name) != getattr(second, name)]
    return [f"{owner} {name} is {getattr(second, name)!r:.600}, not {getattr(first, name)!r:.600}" for name in names]


async def _ask(
    gateway: Gateway, provider: RecordedProvider, one: Exchange, body: bytes, path: str, sent: Mapping[str, str]
) -> Answer:
    provider.play(one.recorded)
    own = ("host", "connection", "content-length", "accept-encoding", "cookie", "transfer-encoding")
    headers = {name: value for name, value in sent.items() if name not in own}
    if not one.model:
        headers["x-pointsman-provider"] = one.provider
    client = await Client.connect(gateway.port)
    try:
        answer = await client.ask(body or b"", path=path, method=one.recorded.method, headers=headers)
    finally:
        await client.close()
    if one.dialect and answer.status == 200:
        provider.answered.append((one, path, answer.headers["x-request-id"]))
    return answer


async def usage_differences(gateway: Gateway, provider: RecordedProvider) -> list[tuple[Exchange, str]]:
    """Compare the usage in the request log with the recorded one."""
    wanted = {request_id for _, _, request_id in provider.answered}
    await until(
        lambda: wanted <= {record["request_id"] for record in gateway.records}, "all answers are in the request log"
    )
    records = {record["request_id"]: record for record in gateway.records}
    found = []
    for one, path, request_id in provider.answered:
        record = records[request_id]
        names = ("tokens_in", "tokens_out", "tokens_cached", "tokens_cache_write", "tokens_reasoning")
        ours = [record.get(name) or 0 for name in names]
        ours[3] += record.get("tokens_cache_write_1h") or 0
        theirs = recorded_facts(one).usage
        if theirs != (0, 0, 0, 0, 0) and tuple(ours) != theirs:  # else the gateway estimates the usage
            found.append((one, f"the log's usage of a call at {path} is {tuple(ours)}, not {theirs}"))
    return found


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _request_differences(one: Exchange, seen: Sequence[Seen]) -> list[str]:
    if len(seen) != 1:
        return [f"the provider got {len(seen)} requests"]
    got, recorded, found = seen[0], one.recorded, []
    if (got.method, got.target) != (recorded.method, one.base_path + one.path):
        found.append(f"the provider got {got.method} {got.target}")
    forwarded = {name: value for name, value in recorded.sent.items() if name in FORWARDED}
    if one.type == "anthropic":
        forwarded = dict(_OF_ANTHROPIC)
    if recorded.request:
        forwarded["content-type"] = recorded.sent["content-type"]
    found += [
        f"the header {name} is {got.headers.get(name)!r}, not {value!r}"
        for name, value in forwarded.items()
        if got.headers.get(name) != value
    ]
    if not one.is_json:
        return found if got.body == recorded.request else [*found, f"the body is {got.body[:300]!r}"]
    theirs, ours = json.loads(recorded.request), json.loads(got.body)
    if one.dialect == "openai" and theirs.get("stream"):  # the gateway needs the usage
        theirs["stream_options"] = {**(theirs.get("stream_options") or {}), "include_usage": True}
    if one.dialect == GEMINI:
        return [*found, *([] if ours == in_camel_case(theirs) else [f"the body is {got.body[:600]!r}"])]
    if one.model and _letters(ours["model"]) == _letters(
        one.model
    ):  # the gateway corrects the spelling of a known model
        theirs["model"] = ours["model"]
    names = {name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)}
    return [*found, *(f"{name!r} is {ours.get(name)!r:.300}, not {theirs.get(name)!r:.300}" for name in sorted(names))]


def _answer_differences(one: Exchange, answer: Answer) -> list[str]:
    recorded = one.recorded
    if answer.status != recorded.status or answer.ended != "complete":
        return [f"the answer is {answer.status}, {answer.ended}: {answer.body[:300].decode()}"]
    if recorded.is_stream:
        expected = events_in(recorded.body)
        if one.dialect == answer_facts.CHAT and b'"include_usage": true' not in recorded.request:
            expected = [event for event in expected if not _is_usage(event[1])]  # which the client did not request
        return [] if events_in(answer.body) == expected else ["the events are others"]
    if answer.json == json.loads(recorded.body):
        return []
    return [f"the answer is {answer.body[:300].decode()}, not {recorded.body[:300].decode()}"]


# The values in Gemini's requests that have names of the client's own.
_OWN_NAMES = ("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema")


def in_camel_case(value: Any, owner: str = "") -> Any:
    """Return a request of Gemini's with its fields in the spelling that the gateway sends. Both are valid."""
    if isinstance(value, list):
        return [in_camel_case(one) for one in value]
    if not isinstance(value, dict) or owner in _OWN_NAMES:
        return value
    named = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): one for name, one in value.items()}
    return {name: in_camel_case(one, name) for name, one in named.items()}


def _is_usage(event: object) -> bool:
    return isinstance(event, dict) and event.get("choices") == [] and "usage" in event


def events_in(stream: bytes) -> list[tuple[str, object]]:
    """Return the events of a stream with their names and decoded data."""
    found: list[tuple[str, object]] = []
    for block in stream.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        name = "".join(line[6:].strip() for line in lines if line.startswith("event:"))
        data = "\n".join(line[5:].strip() for line in lines if line.startswith("data:"))
        if data:
            found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found
