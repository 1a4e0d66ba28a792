"""Measures the translation between dialects: microseconds of CPU for one request and for one streamed event.

    python -m bench.translation --json docs/measurements/translation.json    # half a minute

A pair is a client's dialect and a provider's. Each request is a conversation with tools, earlier turns and texts of
some hundred words. Nearly every event of a stream is a part of a text, and the events arrive one by one. `passed` is
the same stream for a client of the provider's own dialect, which gets the provider's bytes. The cases are measured in
turn, and the fastest round of each counts.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time_ns

from msgspec import Raw

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.conversations import Conversation, Text, Tool, ToolCall, ToolResult, Turn
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Done, Finish, Piece, Start, TextPiece, UsagePiece
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.providers import PROVIDERS, codec_of
from pointsman.providers.api import Codec
from pointsman.wire import PATHS
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.json_object import encode_object
from pointsman.wire.paths import ParsedHead
from pointsman.wire.sse import split_events
from pointsman.wire.translation import Halves, translate

WORDS = 200  # parts of the text of a stream
REQUESTS = 40  # per round
MAX_EVENT_BYTES = 1 << 20
_TEXT = "The quick brown fox jumps over the lazy dog, and then it does so once more. " * 20
_SCHEMA = Raw(b'{"type":"object","properties":{"city":{"type":"string"},"day":{"type":"string"}},"required":["city"]}')


def conversation(origin: str) -> Conversation:
    """Return a conversation that every dialect can express."""
    called = ToolCall("call_1", "weather", '{"city":"Paris"}')
    return Conversation(
        origin=origin,
        system=(Text("You are a helpful assistant."),),
        turns=(
            Turn("user", (Text(_TEXT),)),
            Turn("assistant", (Text("Let me look."), called)),
            Turn("user", (ToolResult("call_1", (Text("sunny"),)),)),
            Turn("assistant", (Text(_TEXT),)),
            Turn("user", (Text("Thank you. And tomorrow?"),)),
        ),
        tools=tuple(Tool(name, "Find out something.", _SCHEMA) for name in ("weather", "news", "time")),
        max_tokens=1000,
    )


def answer() -> list[Piece]:
    """Return an answer of many short texts."""
    words = [TextPiece(" word", begins=number == 0) for number in range(WORDS)]
    return [Start("x1", "m-1"), *words, Finish("stop"), UsagePiece(Usage(500, WORDS)), Done()]


def call_of(dialect: Dialect, *, stream: bool) -> Call:
    """Return a call as a client of this dialect sends it."""
    written = halves(dialect).write_request(conversation(dialect.name), stream)
    assert not written.cannot
    api = next(api for api in PATHS if api.path == dialect.path and "POST" in api.methods)
    head = RequestHead(method="POST", path=dialect.path, dialect=dialect.name, content_type="application/json")
    assert api.parse is not None
    return api.parse(ParsedHead(api, head, NO_SNAPSHOT), encode_object({"model": "m", **written.fields}))


def halves(dialect: Dialect) -> Halves:
    """Return the halves of a dialect that has them."""
    assert dialect.halves is not None
    return dialect.halves


def codec(client: Dialect, provider: Dialect) -> Codec:
    """Return a codec that serves a client from a provider that speaks only one dialect, or the first of several."""
    for name, one in PROVIDERS.items():
        native = one.codecs.get(provider.operation)
        found = codec_of(name, client.operation, client.name) if native is not None else None
        if found is not None and native is not None and native.dialect == found.dialect == provider.name:
            return found
    raise LookupError(f"no provider that speaks {provider.name} serves {client.name}")


def _request_case(client: Dialect, provider: Dialect) -> Callable[[], float]:
    call, ours, theirs = call_of(client, stream=True), halves(client), halves(provider)
    assert not translate(ours, theirs, call, reasons=True).cannot

    def measure() -> float:
        began_at = process_time_ns()
        for _ in range(REQUESTS):
            encode_object(translate(ours, theirs, call, reasons=True).fields)
        return (process_time_ns() - began_at) / REQUESTS / 1000

    return measure


def _stream_case(client: Dialect, provider: Dialect) -> Callable[[], float]:
    call = call_of(client, stream=True)
    events = split_events(halves(provider).writer(call_of(provider, stream=True), 0.0).write(answer()))
    chosen = codec(client, provider)

    def measure() -> float:
        decoder, written = chosen.decoder(call, MAX_EVENT_BYTES, 0.0), 0
        began_at = process_time_ns()
        for event in events:
            written += len(decoder.feed(event))
        spent = process_time_ns() - began_at
        decoder.close()
        assert decoder.failure is None
        assert written > WORDS * len(" word")
        return spent / len(events) / 1000

    return measure


def cases(dialects: Sequence[Dialect]) -> dict[str, dict[str, Callable[[], float]]]:
    """Return the measurements of every ordered pair: functions that return microseconds."""
    found: dict[str, dict[str, Callable[[], float]]] = {"request": {}, "event": {}, "passed": {}}
    for provider in dialects:
        for client in dialects:
            name = f"{provider.name} for a client of {client.name}"
            if client is provider:
                found["passed"][provider.name] = _stream_case(client, provider)
            else:
                found["request"][f"{client.name} to {provider.name}"] = _request_case(client, provider)
                found["event"][name] = _stream_case(client, provider)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.translation")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    given = parser.parse_args()
    measured = cases(CONVERSATIONS)
    fastest = {kind: dict.fromkeys(one, float("inf")) for kind, one in measured.items()}
    for _ in range(given.rounds):
        for kind, one in measured.items():
            for name, measure in one.items():
                fastest[kind][name] = min(fastest[kind][name], measure())
    for kind, found in fastest.items():
        for name, spent in found.items():
            print(f"{spent:7.1f} µs  {kind}: {name}")
    if given.json is not None:
        rounded = {kind: {name: round(spent, 1) for name, spent in one.items()} for kind, one in fastest.items()}
        given.json.write_text(json.dumps({"us": rounded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
