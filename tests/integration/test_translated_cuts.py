"""No truncated answer passes for a complete one in any pair of dialects. The official SDKs are the judges.

Each stream is cut between its events and at random bytes. A proxy may end a cut answer as HTTP prescribes, or the
connection breaks. Only one cut leaves a whole answer: the one behind the finish reason of a chat. With
`POINTSMAN_MEASURE` set, the table is written to docs/measurements.
"""

import json
import os
import random
from pathlib import Path

import pytest

from integration.dialects import (
    ANSWERS,
    DIALECTS,
    ERRORS,
    JSON,
    SSE,
    STREAMS,
    TOLD,
    Dialect,
    Sdks,
    Served,
    sdks,
    serving_dialects,
)
from integration.gateway import run

TABLE = Path(__file__).parents[2] / "docs" / "measurements" / "translated_cuts.json"
SEED = 13
TEXT = "a few words \u00fc"
RANDOM_CUTS = 100
Counts = dict[str, int]


def first_whole(dialect: Dialect, stream: bytes) -> int:
    """Return the length from which on a stream has all of its answer: its last line may still lack its end."""
    last = {"chat": b'"finish_reason":"tool_calls"', "messages": b'"message_stop"}', "responses": b"\n\n"}[dialect]
    return stream.find(b"\n\n", stream.rfind(last)) if dialect != "responses" else len(stream) - 2


def boundaries(stream: bytes) -> list[int]:
    """Return the lengths at which an event has just ended, and that of nothing."""
    return [0, *(at + 2 for at in range(len(stream)) if stream.startswith(b"\n\n", at))]


def cuts(dialect: Dialect, count: int, stride: int) -> list[Served]:
    """Return the truncated streams of a provider: between events in both ways, and at `count` random bytes."""
    stream, rng = STREAMS[dialect], random.Random(SEED)
    end = first_whole(dialect, stream)
    between = [at for at in boundaries(stream) if at < end][::stride]
    found = [(at, is_killed) for at in between for is_killed in (False, True)]
    found += [(rng.randrange(end), rng.random() < 0.5) for _ in range(count)]
    return [Served(stream[:at], kind=SSE, killed=is_killed) for at, is_killed in found]


async def is_rejected(client: Sdks, dialect: Dialect, *, stream: bool) -> bool:
    try:
        await (client.stream(dialect) if stream else client.whole(dialect))
    except ERRORS:
        return True
    return False


async def sweep(theirs: Dialect, count: int, stride: int) -> dict[str, Counts]:
    """Cut the answers of a provider for clients of every dialect. Return the counts by the pair of dialects."""
    table: dict[str, Counts] = {}
    routing = {"max_attempts": 1, "health": {"failures": 1000}}
    async with (
        serving_dialects(theirs, routing=routing) as (gateway, (provider,)),
        sdks(gateway) as client,
    ):
        stream, whole = STREAMS[theirs], ANSWERS[theirs](TEXT)
        rng = random.Random(SEED)
        for ours in DIALECTS:
            for length in {first_whole(theirs, stream), len(stream)}:
                provider.answer = Served(stream[:length], kind=SSE)
                assert await client.stream(ours) == TOLD, (ours, theirs, stream[:length][-100:])
            provider.answer = Served(whole)
            assert await client.whole(ours) == TEXT
            truncated = cuts(theirs, count, stride)
            bodies = [Served(whole[: rng.randrange(len(whole))], kind=JSON) for _ in range(count)]
            silent = []
            for cut in [*truncated, *bodies]:
                provider.answer = cut
                if not await is_rejected(client, ours, stream=cut.kind == SSE):
                    silent.append(cut)
            assert not silent, (ours, theirs, len(silent), silent[0])
            found = {"streams": len(truncated), "bodies": len(bodies), "silent": len(silent)}
            table[f"{ours} from {theirs}"] = found
    return table


def report(table: dict[str, Counts]) -> None:
    print(json.dumps(table, indent=1))
    if os.environ.get("POINTSMAN_MEASURE"):
        known = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        TABLE.write_text(json.dumps(known | table, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("theirs", DIALECTS)
def test_sample_of_cuts_is_detected(theirs: Dialect) -> None:
    run(sweep(theirs, 6, 4))


@pytest.mark.slow
@pytest.mark.parametrize("theirs", DIALECTS)
def test_every_cut_between_events_is_detected(theirs: Dialect) -> None:
    report(run(sweep(theirs, RANDOM_CUTS, 1)))
