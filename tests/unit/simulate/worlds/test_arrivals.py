"""Synthetic and recorded arrivals."""

from pathlib import Path
from statistics import fmean, median

import pytest

from pointsman.simulate.worlds.arrivals import TraceError, from_trace, read_trace, synthetic
from pointsman.simulate.worlds.world import Arrival, Burst, Trace, Traffic

RECORDED = Path(__file__).parents[5].parent / "shared" / "data" / "traces"
AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.6805900,396,0
"""
MOONCAKE = """{"timestamp": 1000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 4000, "input_length": 7322, "output_length": 490, "hash_ids": [0, 14]}
"""


def test_same_seed_gives_the_same_requests() -> None:
    assert synthetic(Traffic(), 60.0, 3) == synthetic(Traffic(), 60.0, 3)
    assert synthetic(Traffic(), 60.0, 3) != synthetic(Traffic(), 60.0, 4)


def test_rate_and_lengths_are_those_of_the_traffic() -> None:
    found = synthetic(Traffic(rate=5.0, whole=0.25), 2000.0, 1)
    assert len(found) == pytest.approx(10_000, rel=0.05)
    assert median(one.tokens_in for one in found) == pytest.approx(1020, rel=0.1)
    assert median(one.tokens_out for one in found) == pytest.approx(129, rel=0.1)
    assert fmean(not one.stream for one in found) == pytest.approx(0.25, abs=0.03)


def test_burst_has_more_requests_for_its_time() -> None:
    found = synthetic(Traffic(rate=10.0, bursts=(Burst(20.0, 40.0, 5.0),)), 100.0, 1)
    assert sum(20 <= one.at < 40 for one in found) == pytest.approx(1000, rel=0.15)
    assert sum(not 20 <= one.at < 40 for one in found) == pytest.approx(800, rel=0.15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AZURE, [Arrival(0.0, 374, 44), Arrival(4.0, 396, 1)]),
        (MOONCAKE, [Arrival(0.0, 6758, 500), Arrival(3.0, 7322, 490)]),
    ],
)
def test_both_formats_are_recognised(tmp_path: Path, text: str, expected: list[Arrival]) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    assert read_trace(path).arrivals == expected


@pytest.mark.parametrize("text", ["", "at,size\n1,2\n", '{"timestamp": 1}\n{"timestamp": 2}\n', MOONCAKE[:87]])
def test_other_files_are_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(TraceError):
        read_trace(path)


@pytest.mark.parametrize("head", [b"", AZURE.encode(), MOONCAKE.encode()])
def test_file_that_is_not_text_is_rejected(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "trace"
    path.write_bytes(head + b"\xff\xfe\x00")
    with pytest.raises(TraceError):
        read_trace(path)


def test_part_of_a_trace_has_the_rate_of_the_traffic() -> None:
    trace = Trace("made-up", [Arrival(float(number), 10, 5) for number in range(1000)])
    found = from_trace(trace, Traffic(rate=4.0), 100.0, 1)
    assert len(found) == pytest.approx(400, abs=2)
    assert all(0 <= one.at < 100 for one in found)
    assert found != from_trace(trace, Traffic(rate=4.0), 100.0, 2)
    more = from_trace(trace, Traffic(rate=1.0, bursts=(Burst(20.0, 30.0, 5.0),)), 100.0, 1)
    assert sum(20 <= one.at < 30 for one in more) == pytest.approx(50, abs=3)


@pytest.mark.parametrize(
    "name", ["azure_llm_2023_conversation.csv", "azure_llm_2023_code.csv", "mooncake_conversation.jsonl"]
)
def test_recorded_traces_can_be_read(name: str) -> None:
    if not (RECORDED / name).exists():
        pytest.skip(f"the trace {name} is not on this machine")
    trace = read_trace(RECORDED / name)
    assert len(trace.arrivals) > 8000
    assert len(from_trace(trace, Traffic(rate=8.0), 60.0, 1)) > 100
