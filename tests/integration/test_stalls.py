"""No input blocks the loop: the worst of each kind, through its own worker. `bench.stalls` explains the measurement."""

import asyncio
from random import Random

import pytest
from bench.hostile import ANSWERS, BODIES, Body, Reply
from bench.stalls import Figure, kinds, measured

from fakes.clock import pace

BUDGET_MS = 50.0
TOLERANCE = 2.0  # the loop and a thread beside it alternate, and one figure may include a part of each
FIXED_MIB = 24.0  # besides four times the size: memory kept by threads and the allocator
# Without a bound, some of these took seconds.
SAMPLE = [
    "body honest: 10,000 messages",
    "body input: numbers beside an image",
    "body content: empty objects",
    "body head: a long content type of spaces",
    "body top: a long name beside a repeated one",
    "answer stream: comments",
    "answer gzip: empty members",
    "answer JSON: tool calls for a stream",
]


def _check(figure: Figure, honest: bool) -> None:
    assert figure.status, f"{figure.kind}: no answer arrived"
    assert figure.stall_ms <= BUDGET_MS * TOLERANCE * pace(), figure
    assert figure.peak_mib <= 4 * figure.mib + FIXED_MIB, figure
    assert figure.status == 200 or not honest, figure


@pytest.mark.parametrize("kind", SAMPLE)
def test_worst_kinds_stay_within_the_budget(kind: str) -> None:
    _check(asyncio.run(measured(kind, 1.0)), "honest" in kind)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("mib", [4.0, 48.0])
@pytest.mark.parametrize("kind", kinds())
def test_every_kind_stays_within_the_budget(kind: str, mib: float) -> None:
    _check(asyncio.run(measured(kind, mib)), "honest" in kind)


# Random kinds: a few punctuation marks in any order, repeated, at any place.
_UNITS = [
    "1,",
    '"",',
    "{},",
    "[],",
    '"a":1,',
    '\\"',
    "\\u0061",
    "\\\\",
    " ",
    "\n",
    '{"type":"image_url"},',
    "é",
    "0.1,",
]
_PLACES = [
    ('{"model":"m","messages":[{"role":"user","content":[', "]}]}"),
    ('{"model":"m","messages":[{"role":"user","content":"', '"}]}'),
    ('{"model":"m","messages":[', "]}"),
    ('{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[', "]}"),
    ('{"model":"m","messages":[{"role":"user","content":"a"}],', '"z":1}'),
    ('{"model":"m","messages":[{"role":"user","content":"a"}],"stop":[', "]}"),
]
_EVENTS = [
    b":\n",
    b"\n",
    b"data:",
    b"data:{}\n\n",
    b"\r",
    b'{"choices":[{}]}',
    b"event:a\n",
    b"[DONE]",
    b"data\n",
    b"{",
]


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 60))])
def test_random_kinds_stay_within_the_budget(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(seed)
    if seed % 2:
        unit = "".join(rng.choices(_UNITS, k=rng.randint(1, 5)))
        before, after = rng.choice(_PLACES)

        def make(size: int) -> bytes:
            return (before + (unit * (size // len(unit))).removesuffix(",") + after).encode()

        monkeypatch.setitem(BODIES, "drawn", Body("/chat/completions", make))
        kind = "body drawn"
    else:
        event = b"".join(rng.choices(_EVENTS, k=rng.randint(1, 5)))

        def reply(size: int) -> tuple[str, bytes]:
            return "content-type: text/event-stream\r\n", event * (size // len(event))

        monkeypatch.setitem(ANSWERS, "drawn", Reply(reply, stream=True))
        kind = "answer drawn"
    _check(asyncio.run(measured(kind, 1.0 if seed < 3 else 8.0)), honest=False)
