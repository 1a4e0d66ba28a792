"""Worlds from the gateway's own log."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from fakes.worlds import PROVIDERS
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.simulate.worlds.replay import ReplayError, as_observed, read_log, recorded
from pointsman.simulate.worlds.world import Fault

START = 1_800_000_000.0


def attempt(provider: str, start_s: float = 0.0, content_s: float = 0.6, *, outcome: str = "ok") -> AttemptRecord:
    start_us, took_s = int(start_s * 1e6), content_s + 1.0
    first_us = start_us + int(content_s * 1e6) if outcome == "ok" else None
    return AttemptRecord(
        provider=provider, model="m", key="k", outcome=outcome, start_us=start_us, duration_us=int(took_s * 1e6),
        first_byte_us=first_us, tokens_out=100,
    )  # fmt: skip


def request(at: float, *attempts: AttemptRecord, stream: bool = True, model: str = "chat") -> RequestRecord:
    last = attempts[-1]
    return RequestRecord(
        time=START + at, request_id=f"r{at}", method="POST", path="/v1/chat/completions", status=200, model=model,
        operation="chat", stream=stream, tokens_in=3000, tokens_out=100, attempts=attempts, ttft_us=last.first_byte_us,
    )  # fmt: skip


def write(path: Path, records: list[RequestRecord], *others: bytes) -> Path:
    path.write_bytes(b"\n".join([*map(msgspec.json.encode, records), *others]) + b"\n")
    return path


def test_log_gives_arrivals_and_lengths(tmp_path: Path) -> None:
    records = [request(2.5, attempt("p1"), stream=False), request(0.0, attempt("p1")), request(1.0, attempt("p2"))]
    other = request(1.0, attempt("p1"), model="other")
    log = write(tmp_path / "log", [*records, other], b'{"event":"dropped","count":3}', b"not JSON", b'{"model":"\xff"}')
    found = read_log(log, "chat")
    assert [(one.at, one.tokens_in, one.tokens_out, one.stream) for one in found.arrivals] == [
        (0.0, 3000, 100, True), (1.0, 3000, 100, True), (2.5, 3000, 100, False)
    ]  # fmt: skip
    assert found.duration_s == 3.5
    assert {name: len(every) for name, every in found.observed.items()} == {"p1/m": 2, "p2/m": 1}


def test_log_without_such_requests_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="has no request for 'chat'"):
        read_log(write(tmp_path / "log", [request(0.0, attempt("p1"), model="other")]), "chat")


def test_speed_is_the_median_of_ratios_to_the_usual_time() -> None:
    """A prompt of 3,000 tokens usually takes 0.6 s, so 1.2 s are the ratio 2."""
    found = recorded([request(float(at), attempt("p1", content_s=1.2)) for at in range(10)])
    provider, *others = as_observed([replace(one, name=f"{one.name}/m") for one in PROVIDERS], found)[0]
    assert provider.first_s == pytest.approx(0.6)
    assert provider.prompt_token_s == pytest.approx(2e-4)
    assert provider.token_s == pytest.approx(0.01)
    assert [one.first_s for one in others] == [one.first_s for one in PROVIDERS[1:]]


def test_minutes_that_deviate_become_faults() -> None:
    down = AttemptRecord(
        provider="p1", model="m", key="k", outcome="upstream_overloaded", start_us=0, duration_us=10_000, status=503
    )
    late = replace(down, outcome="upstream_timeout")
    records = [request(float(at), attempt("p1")) for at in range(60)]
    records += [request(60.0 + at, attempt("p1", content_s=2.4)) for at in range(20)]
    records += [request(120.0 + at, down, attempt("p2", 0.1)) for at in range(5)]
    records += [request(130.0 + at, attempt("p1")) for at in range(5)]
    records += [request(180.0 + at, late, attempt("p2", 5.0)) for at in range(5)]
    providers = [replace(one, name=f"{one.name}/m") for one in PROVIDERS]
    found = {fault.since: fault for fault in as_observed(providers, recorded(records))[1] if fault.provider == "p1/m"}
    assert found == {
        60.0: Fault(provider="p1/m", since=60.0, until=120.0, factor=4.0),
        120.0: Fault(provider="p1/m", since=120.0, until=180.0, errors=0.5),
        180.0: Fault(provider="p1/m", since=180.0, until=240.0, hangs=True),
    }


def test_failures_of_a_target_without_any_streamed_answer_are_kept() -> None:
    """Its speed is not known, so it keeps the assumed one."""
    down = AttemptRecord(
        provider="p1", model="m", key="k", outcome="upstream_overloaded", start_us=0, duration_us=10_000, status=503
    )
    records = [request(float(at), down, attempt("p2", 0.1)) for at in range(3)]
    records += [request(10.0 + at, attempt("p1"), stream=False) for at in range(3)]
    providers = [replace(one, name=f"{one.name}/m") for one in PROVIDERS]
    found, faults = as_observed(providers, recorded(records))
    assert [one for one in faults if one.provider == "p1/m"] == [
        Fault(provider="p1/m", since=0.0, until=60.0, errors=0.5)
    ]
    assert (found[0].first_s, found[0].errors) == (PROVIDERS[0].first_s, 0.0)


def test_failures_of_requests_and_clients_say_nothing_of_a_target() -> None:
    refused = AttemptRecord(
        provider="p1", model="m", key="k", outcome="context_length_exceeded", start_us=0, duration_us=10_000
    )
    gone = replace(refused, outcome="client_disconnected")
    found = recorded([request(0.0, refused, attempt("p2")), request(1.0, gone)])
    assert list(found.observed) == ["p2/m"]
