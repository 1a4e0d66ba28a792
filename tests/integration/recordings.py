"""Every recorded exchange, played through a gateway and translated between all dialects.

`make replay` plays all of them and writes `docs/measurements/recordings.json`. A file passes if all checks of all of
its exchanges pass:

- `native`: the gateway in front of the recorded provider sends the recorded request, and its client gets the recorded
  answer. Only documented changes are allowed.
- `across`: a client of another dialect makes the same call. The facts in the request and in the answer stay, and the
  official SDK of the client accepts the answer.
- `next turn`: the client sends the answer back, and the provider gets it with its reasoning and the proofs of that.
- `as a stream`: the same for a whole answer that the provider streams.
- `request`: a request is written in the other dialect, with the types of the official SDK, or the parts that it cannot
  express are named.
- `usage`: the gateway logs the recorded usage of each answer.
- `cuts`: a stream gives the same bytes, however it is cut.
- `broken off`: a stream that breaks off ends with an error, unless only its usage is missing.
"""

import argparse
import datetime as dt
import json
import platform
import random
import sys
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from fakes import wire
from fakes.corpora import SHARED, recorded
from fakes.dialogues import check_types
from integration.exchanges import GEMINI, PATHS, Exchange, call_of, exchange_of, facts_in, parsed, plain
from integration.gateway import run
from integration.next_turn import next_turn_differences
from integration.replay import (
    MAX_EVENT_BYTES,
    answer_differences,
    as_a_stream,
    codec_for,
    play_across,
    play_natively,
    replaying,
    usage_differences,
    written_for,
)
from pointsman.providers.api import StreamDecoder
from pointsman.wire.json_object import encode_object
from pointsman.wire.sse import split_events

MEASURED = Path(__file__).parents[2] / "docs" / "measurements" / "recordings.json"
MOST_EXCEPTIONS = 0.03  # of the files of one provider
_EVERY_BYTE = 20_000  # bytes: longer streams are cut at random places
_RANDOM_CUTS = 500
_FEWER_CUTS = 200  # of a stream that was not recorded
_PLACES, _LAST = 20, 6  # the number of places at which a stream breaks off, and of those near its end
_ENDS = {
    "openai": b"[DONE]",
    "openai-responses": b"event: response.completed",
    "anthropic": b'"message_stop"',
    GEMINI: b'"finishReason"',
}
# Recordings that are no sound exchange.
UNSOUND = {
    "tool_choice_matrix/test_tool_choice_matrix_required-huggingface_.yaml": "the recorded request is not whole JSON",
}


class Forced(Struct, frozen=True):
    """A difference that the dialects force, in some checks. `shown` is its beginning; `recorded` is in the request or
    the answer of each exchange that may have it."""

    dialect: str
    checks: str
    shown: str
    recorded: bytes
    reason: str


# The differences that are allowed. `make replay` counts them.
FORCED = (
    Forced(
        GEMINI,
        "",
        "the answer's sources is ()",
        b'"groundingChunks"',
        "the sources of Google's own search: no client of another API can request that search",
    ),
    Forced(
        GEMINI,
        "",
        "the next turn's reasoning is ",
        b'"toolCall"',
        "the proofs of calls of Google's own tools: no other API has such calls",
    ),
    Forced(
        GEMINI,
        "across, anthropic",
        "the request's format is ",
        b'"responseJsonSchema"',
        "a schema without `additionalProperties: false`: Anthropic takes none without it",
    ),
)


class Broken(Struct, frozen=True):
    """One check that did not hold, or a recording that is no sound exchange."""

    file: str
    check: str
    reason: str


class Tally(Struct):
    """The results for one provider. `checks` counts the checks that were made, by their kind, and `forced` the allowed
    differences, by their reason."""

    files: int = 0
    passed: int = 0
    exchanges: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    forced: Counter[str] = field(default_factory=Counter)
    exceptions: list[Broken] = []


class Results(Struct):
    """All results. `requests` counts, for each pair of dialects, the requests that were written, and the parts that
    were named because the other dialect cannot express them."""

    providers: dict[str, Tally] = {}
    requests: dict[str, Counter[str]] = {}
    named: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    cuts: int = 0


def exchanges(hosts: Sequence[str] = ()) -> list[Exchange]:
    """Return the recorded exchanges with some hosts, or with all, or skip the test if there are none."""
    found = [one for one in map(exchange_of, recorded("//")) if one is not None]
    return [one for one in found if not hosts or one.host in hosts]


def others(one: Exchange) -> list[str]:
    """Return the dialects other than that of an exchange."""
    return [name for name in PATHS if name != one.dialect] if one.dialect else []


async def play(found: Sequence[Exchange], cuts: int | None) -> Results:
    """Make all checks. `cuts` is the number of random cuts of each stream; `None` is every byte of the shorter ones."""
    results = Results()
    files: dict[tuple[str, str], bool] = {}
    async with replaying(found) as (gateway, provider):
        for one in found:
            tally = results.providers.setdefault(one.host, Tally())
            tally.exchanges += 1
            at, file = (one.host, one.recorded.file), one.recorded.file
            files.setdefault(at, True)
            if file in UNSOUND:
                tally.exceptions.append(Broken(file, "recording", UNSOUND[file]))
                files[at] = False
                continue
            outcomes = []
            if one.is_native:
                outcomes.append(("native", await _outcome(play_natively(gateway, provider, one))))
            outcomes += [
                (f"across, {client}", await _outcome(play_across(gateway, provider, one, client)))
                for client in others(one)
            ]
            outcomes += list(_translations(one, results, cuts))
            for check, found_broken in outcomes:
                tally.checks[check.partition(",")[0]] += 1
                broken = _without_forced(one, check, found_broken, tally)
                tally.exceptions += [Broken(file, check, reason) for reason in broken]
                files[at] = files[at] and not broken
        for one, reason in await usage_differences(gateway, provider):
            results.providers[one.host].exceptions.append(Broken(one.recorded.file, "usage", reason))
            files[one.host, one.recorded.file] = False
        for one, _, _ in provider.answered:
            results.providers[one.host].checks["usage"] += 1
    for (host, _), is_passed in files.items():
        results.providers[host].files += 1
        results.providers[host].passed += is_passed
    return results


def _without_forced(one: Exchange, check: str, broken: Sequence[str], tally: Tally) -> list[str]:
    """Return the differences that the dialects do not force, and count the others."""
    left = []
    for reason in broken:
        forced = next((item for item in FORCED if _is_forced(one, check, reason, item)), None)
        if forced is None:
            left.append(reason)
        else:
            tally.forced[forced.reason] += 1
    return left


def _is_forced(one: Exchange, check: str, reason: str, item: Forced) -> bool:
    is_one = one.dialect == item.dialect and check.startswith(item.checks) and reason.startswith(item.shown)
    return is_one and (item.recorded in one.recorded.request or item.recorded in one.recorded.body)


async def _outcome(check: Coroutine[object, object, list[str]]) -> list[str]:
    try:
        return await check
    except Exception as error:  # noqa: BLE001 -- an exception is a result here
        return [_crash(error)]


def _crash(error: Exception) -> str:
    return f"crash: {type(error).__name__}: {error}"


def _translations(one: Exchange, results: Results, cuts: int | None) -> Iterator[tuple[str, list[str]]]:
    """Yield the checks that need no gateway, with the differences that they found."""
    returned = others(one) if one.is_native else []  # the clients whose next turn is compared with a native one
    for client in returned:
        yield f"request, {client}", _request(one, client, results)
    if not one.dialect or one.recorded.status != 200:
        return
    for client in returned:
        yield f"next turn, {client}", _next_turn(one, client)
    clients = [*PATHS, GEMINI] if one.dialect == GEMINI else [*PATHS]
    if one.recorded.is_stream:
        for client in clients:
            yield f"cuts, {client}", _cuts(one, client, cuts, results)
            yield f"broken off, {client}", _broken_off(one, client)
        return
    again = as_a_stream(one)
    for client in clients:
        received = _fed(again, client, [again.recorded.body])
        yield f"as a stream, {client}", answer_differences(one, client, received, is_stream=True)
        yield f"cuts, {client}", _cuts(again, client, _FEWER_CUTS if cuts is None else cuts, results)
        yield f"broken off, {client}", _broken_off(again, client)
    for client in returned:
        yield f"as a stream, {client}", _next_turn(again, client)


def _next_turn(one: Exchange, client: str) -> list[str]:
    try:
        return next_turn_differences(one, client)
    except Exception as error:  # noqa: BLE001 -- as above
        return [_crash(error)]


def _request(one: Exchange, client: str, results: Results) -> list[str]:
    """Write a request in another dialect, and count the result."""
    counts = results.requests.setdefault(f"{one.dialect} to {client}", Counter())
    try:
        written = written_for(call_of(one), client)
    except Exception as error:  # noqa: BLE001 -- as above
        return [_crash(error)]
    if written.cannot:
        counts["named"] += 1
        results.named.update(_without_numbers(written.cannot))
        return [] if all(part.strip() for part in written.cannot) else ["a part that cannot be expressed has no name"]
    try:
        check_types(client, {"model": one.model, **json.loads(encode_object(written.fields))})
    except ValueError as error:
        return [f"the SDK's types reject the body: {error}"]
    counts["written without labels" if written.dropped else "written"] += 1
    return []


def _without_numbers(parts: Iterable[str]) -> set[str]:
    return {"".join("" if letter.isdigit() else letter for letter in part) for part in parts}


def _cuts(one: Exchange, client: str, cuts: int | None, results: Results) -> list[str]:
    """Check that a stream gives the same, wherever it is cut in two, and in single bytes."""
    stream = one.recorded.body
    if cuts is None and len(stream) < _EVERY_BYTE:
        places: Iterable[int] = range(1, len(stream))
    else:
        dice = random.Random(len(stream))
        places = [dice.randrange(1, len(stream)) for _ in range(_RANDOM_CUTS if cuts is None else cuts)]
    results.streams += 1
    expected = _fed(one, client, [stream])
    if _fed(one, client, [stream[at : at + 1] for at in range(len(stream))]) != expected:
        return ["single bytes give another stream"]
    for at in places:
        results.cuts += 1
        if _fed(one, client, [stream[:at], stream[at:]]) != expected:
            return [f"a cut at byte {at} gives another stream"]
    return []


def _broken_off(one: Exchange, client: str) -> list[str]:
    """Check the ends of streams that break off between two events."""
    events, found = list(split_events(one.recorded.body)), []
    whole = facts_in(client, _fed(one, client, events), is_stream=True)
    last = range(max(0, len(events) - _LAST), len(events))
    for count in sorted({*range(0, len(events), max(1, len(events) // _PLACES)), *last}):
        decoder = _decoder(one, client)
        received = wire.drain(decoder, events[:count])
        if decoder.failure is not None:
            error = decoder.error_event(decoder.failure, "request")
            if b"error" not in error or _ENDS[client] in received + error:
                found.append(f"after {count} of {len(events)} events, the stream ends properly: {error!r:.300}")
            continue
        rest = facts_in(client, received, is_stream=True)
        if replace(rest, usage=whole.usage) != whole:
            found.append(f"after {count} of {len(events)} events, the answer counts as complete")
    return found


def _fed(one: Exchange, client: str, pieces: list[bytes]) -> bytes:
    """Return the events that a client gets. Those that only keep the connection open are left out."""
    return _fed_to(_decoder(one, client), pieces)


def _decoder(one: Exchange, client: str) -> StreamDecoder:
    call = parsed({"model": "m", **plain(client, streams=True)}, client, streams=True)
    return codec_for(one, client).decoder(call, MAX_EVENT_BYTES)


def _fed_to(decoder: StreamDecoder, pieces: list[bytes]) -> bytes:
    received = wire.drain(decoder, pieces)
    if decoder.failure is not None:
        received += decoder.error_event(decoder.failure, "request")
    return received.replace(b":\n\n", b"")


def is_good(results: Results) -> bool:
    """Return whether few enough files have exceptions, and all of these are recordings that are not sound."""
    return all(
        one.files - one.passed <= MOST_EXCEPTIONS * one.files
        or all(item.check == "recording" for item in one.exceptions)
        for one in results.providers.values()
    )


def main() -> int:
    """Play, print, and write the results. Return the exit code, which is 1 if there are too many exceptions."""
    parser = argparse.ArgumentParser(prog="python -m integration.recordings", description="Replay recorded exchanges.")
    parser.add_argument("--cuts", type=int, help="the number of random cuts of each stream; the default is every byte")
    parser.add_argument("--json", type=Path, default=MEASURED, help="the file of the results")
    given = parser.parse_args()
    folder = SHARED / "recordings" / "pydantic-ai"
    if not folder.exists():
        print(f"skipped: there are no recordings at {folder}; nothing was played")
        return 0
    results = run(play(exchanges(), given.cuts))
    for host, tally in results.providers.items():
        checks = ", ".join(f"{count} {name}" for name, count in tally.checks.items())
        print(f"{host}: {tally.passed} of {tally.files} files passed; {tally.exchanges} exchanges; {checks}")
        for allowed, count in tally.forced.items():
            print(f"    {count} allowed: {allowed}")
        for item in tally.exceptions:
            print(f"    {item.file}: {item.check}: {item.reason[:300]}")
    for pair, counts in results.requests.items():
        print(f"{pair}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
    print(f"{results.cuts} cuts of {results.streams} streams")
    made = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "python": platform.python_version()}
    given.json.write_text(json.dumps({**made, **to_builtins(results)}, indent=1) + "\n")
    return 0 if is_good(results) else 1


if __name__ == "__main__":
    sys.exit(main())
