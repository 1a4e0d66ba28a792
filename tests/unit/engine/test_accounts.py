"""What is counted and written when a request is over."""

import os
import re
from pathlib import Path

import pytest

from fakes.engine import FakeLog
from fakes.routing import endpoint
from pointsman.domain.outcomes import Usage, UsageSource
from pointsman.domain.targets import candidate
from pointsman.engine.accounts import Accounts
from pointsman.engine.charges import Charge
from pointsman.engine.record import RequestRecord
from pointsman.telemetry import log as telemetry_log
from pointsman.telemetry.log import LogWriter
from pointsman.telemetry.metrics import MAX_SERIES

A = candidate(endpoint("alpha"), "gpt-4o")
SAMPLE = re.compile(
    r"(?P<name>[a-z_]+)"
    r'(?:\{(?P<labels>[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*)\})?'
    r" (?P<value>[0-9.e+-]+)"
)


def record(
    *,
    status: int = 200,
    operation: str | None = "chat",
    key: str | None = "me",
    model: str = "chat",
    stream: bool = False,
    variant: str | None = None,
) -> RequestRecord:
    return RequestRecord(
        1.0,
        "id",
        "POST",
        "/chat/completions",
        status,
        250_000,
        2_000,
        operation=operation,
        model=model,
        stream=stream,
        virtual_key=key,
        variant=variant,
    )


def samples(accounts: Accounts) -> dict[str, float]:
    """The samples by name and labels; every line must be one, or a comment."""
    found: dict[str, float] = {}
    typed: set[str] = set()
    for line in accounts.lines():
        if line.startswith("#"):
            word, name = line.split()[1:3]
            if word == "TYPE":
                assert name not in typed, "a name has one type"
                typed.add(name)
            continue
        match = SAMPLE.fullmatch(line)
        assert match is not None, line
        assert {match["name"], re.sub(r"_(bucket|sum|count)$", "", match["name"])} & typed, f"{line} has no type"
        series = line.rpartition(" ")[0]
        assert series not in found, f"{series} twice"
        found[series] = float(match["value"])
    return found


NOTHING = Charge(0, 0, UsageSource.NONE)


def charge(tokens_in: int, tokens_out: int, nano: int = 0) -> Charge:
    return Charge(nano, tokens_in + tokens_out, UsageSource.PROVIDER, Usage(tokens_in, tokens_out), is_priced=nano > 0)


def test_an_attempt() -> None:
    accounts = Accounts(FakeLog())
    accounts.attempt(A, "ok", 0.3, 0.02, charge(7, 5, nano=40))
    accounts.attempt(A, "ok", 0.4, 0.03, charge(1, 0))
    accounts.attempt(A, "connect_failed", 5.0, None, NOTHING)
    found, labels = samples(accounts), 'provider="alpha",model="gpt-4o"'
    assert found[f'pointsman_attempts_total{{{labels},outcome="ok"}}'] == 2
    assert found[f'pointsman_attempts_total{{{labels},outcome="connect_failed"}}'] == 1
    assert found[f"pointsman_cost_nanodollars_total{{{labels}}}"] == 40
    assert found[f"pointsman_unpriced_attempts_total{{{labels}}}"] == 1
    assert found[f"pointsman_attempt_duration_seconds_count{{{labels}}}"] == 3
    assert found[f"pointsman_attempt_duration_seconds_sum{{{labels}}}"] == 5.7
    assert found[f"pointsman_first_byte_seconds_count{{{labels}}}"] == 2
    assert found[f'pointsman_tokens_total{{{labels},direction="in"}}'] == 8
    assert found[f'pointsman_tokens_total{{{labels},direction="out"}}'] == 5


def test_a_request_is_counted_and_written_once() -> None:
    log = FakeLog()
    accounts = Accounts(log)
    requests = [record(), record(), record(stream=True), record(status=502), record(key=None), record(operation=None)]
    for request in requests:
        accounts.request(request)
    found = samples(accounts)
    assert log.records == requests
    assert found['pointsman_requests_total{operation="chat",status="200",virtual_key="me"}'] == 3
    assert found['pointsman_requests_total{operation="chat",status="502",virtual_key="me"}'] == 1
    assert found['pointsman_requests_total{operation="chat",status="200",virtual_key=""}'] == 1
    assert found['pointsman_requests_total{operation="none",status="200",virtual_key="me"}'] == 1
    assert found['pointsman_request_duration_seconds_count{operation="chat",stream="false"}'] == 4
    assert found['pointsman_request_duration_seconds_count{operation="chat",stream="true"}'] == 1
    assert found['pointsman_request_duration_seconds_sum{operation="chat",stream="true"}'] == 0.25
    assert found["pointsman_gateway_seconds_count"] == len(requests)
    assert found['pointsman_gateway_seconds_bucket{le="0.001"}'] == 0
    assert found['pointsman_gateway_seconds_bucket{le="0.0025"}'] == len(requests)


def test_targets_with_a_label_are_compared_by_it() -> None:
    accounts = Accounts(FakeLog())
    for variant, status in (("control", 200), ("trial", 200), ("trial", 500), (None, 200)):
        accounts.request(record(variant=variant, status=status))
    found = {name: value for name, value in samples(accounts).items() if name.startswith("pointsman_variant")}
    assert found == {
        'pointsman_variant_requests_total{model="chat",variant="control",status="200"}': 1,
        'pointsman_variant_requests_total{model="chat",variant="trial",status="200"}': 1,
        'pointsman_variant_requests_total{model="chat",variant="trial",status="500"}': 1,
    }


def test_what_clients_make_up_cannot_fill_the_memory_and_is_counted_all_the_same() -> None:
    accounts = Accounts(FakeLog())
    shared, count = endpoint("alpha"), MAX_SERIES + 100
    for number in range(count):
        accounts.attempt(candidate(shared, f"m{number}"), "ok", 0.1, None, NOTHING)
        accounts.request(record(model=f"m{number}", variant="v", status=200))
    found = samples(accounts)
    for family in ("pointsman_attempts_total", "pointsman_variant_requests_total"):
        values = [value for name, value in found.items() if name.startswith(family)]
        assert (len(values), sum(values)) == (MAX_SERIES + 1, count)


def test_hostile_names_cannot_break_the_text() -> None:
    accounts = Accounts(FakeLog())
    evil = 'x"} 1\npointsman_requests_total{a="\\'
    accounts.attempt(candidate(endpoint("alpha"), evil), "ok", 0.1, 0.1, charge(1, 1))
    accounts.request(record(model=evil, variant=evil))
    labels = r'model="x\"} 1\npointsman_requests_total{a=\"\\"'
    assert samples(accounts)[f'pointsman_attempts_total{{provider="alpha",{labels},outcome="ok"}}'] == 1


def test_lost_log_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_log, "MAX_PENDING", 0)
    with Path(os.devnull).open("wb") as file:
        log = LogWriter(file.fileno())
        accounts = Accounts(log)
        for _ in range(3):
            accounts.request(record())
        assert samples(accounts)["pointsman_log_dropped_total"] == 3
        log.close()
