"""Sums by target of public names."""

import json
import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from fakes.configuration import OPEN, compiled
from pointsman.control.variants import SplitTally, bucket_of, quantile, splits_of, targets_of
from pointsman.domain.records import AttemptRecord, Feedback, RequestRecord

SPLITS = {"chat": {"a/m": "control", "b/m": "trial"}}
HOUR = 3600


def attempt(target: str = "a/m", outcome: str = "ok", nano: int = 70, **fields: Any) -> AttemptRecord:
    provider, _, model = target.partition("/")
    values = {"start_us": 0, "duration_us": 1000, **fields}
    return AttemptRecord(provider=provider, model=model, key="k", outcome=outcome, cost_nano=nano, **values)


def request(*attempts: AttemptRecord, model: str = "chat", **fields: Any) -> RequestRecord:
    last = attempts[-1] if attempts else None
    served = {"provider": last.provider, "upstream_model": last.model} if last is not None else {}
    values: dict[str, Any] = {**served, "attempts": attempts, "model": model, **fields}
    return RequestRecord(time=HOUR + 5.0, request_id="r", method="POST", path="/", status=200, **values)


def summed(*requests: RequestRecord) -> dict[str, dict[str, int]]:
    tally = SplitTally(SPLITS)
    for one in requests:
        tally.add(one)
    found: dict[str, dict[str, int]] = {}
    for row in tally.rows():
        assert (row["hour"], row["model"]) == (HOUR, "chat")
        assert row["variant"] == SPLITS["chat"].get(row["target"], "")
        found.setdefault(row["target"], {})[row["measure"]] = row["value"]
    return found


def test_request_counts_for_the_target_that_answered() -> None:
    assert summed(request(attempt()), request(attempt()), request(attempt("b/m", nano=5))) == {
        "a/m": {"attempts": 2, "nano": 140, "requests": 2},
        "b/m": {"attempts": 1, "nano": 5, "requests": 1},
    }
    assert summed(request(attempt(), model="other"), request()) == {}


def test_failover_counts_for_both_targets() -> None:
    moved = request(attempt("b/m", "upstream_error", 0), attempt("a/m"))
    assert summed(moved) == {
        "a/m": {"attempts": 1, "nano": 70, "requests": 1, "why:took_over": 1},
        "b/m": {"attempts": 1, "failures": 1, "why:failed_over": 1},
    }
    to_fallback = request(attempt("a/m", "upstream_error", 0), attempt("c/m"))
    assert summed(to_fallback)["c/m"] == {"attempts": 1, "nano": 70, "requests": 1, "why:fallback": 1}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"kept_by": "session"}, "sticky"), ({"pinned": "a"}, "pinned"), ({"rule": "premium"}, "rule")],
)
def test_requests_that_were_not_drawn_are_counted_by_reason(fields: dict[str, str], reason: str) -> None:
    assert summed(request(attempt(), **fields))["a/m"][f"why:{reason}"] == 1


def test_verdicts_count_by_their_codes_for_targets() -> None:
    verdicts = (
        "b/m: failed 3 times in a row",
        "z/m: is not a target",
        "a/m: the attempt needs up to 9 tokens (counted)",
    )
    found = summed(request(attempt(), verdicts=verdicts, verdict_codes=("breaker_open", "no_key", "counted")))
    assert found["b/m"] == {"why:breaker_open": 1}
    assert "z/m" not in found
    assert not any(measure.startswith("why:") for measure in found["a/m"]), "a counted prompt moves no request"


@pytest.mark.parametrize(
    ("outcome", "measures"),
    [
        ("client_disconnected", {}),
        ("superseded", {}),
        ("content_filter", {"refusals": 1}),
        ("refused", {"refusals": 1}),
        ("upstream_error", {"failures": 1}),
    ],
)
def test_only_failures_of_the_target_count(outcome: str, measures: dict[str, int]) -> None:
    assert summed(request(attempt(outcome=outcome, nano=0)))["a/m"] == {"attempts": 1, "requests": 1, **measures}


def test_refusal_that_the_client_got_counts() -> None:
    assert summed(request(attempt(nano=0), flags=("refused",)))["a/m"] == {"attempts": 1, "refusals": 1, "requests": 1}


def test_quantiles_of_times_are_exact_to_a_bucket() -> None:
    rng = random.Random(1)
    times = [rng.lognormvariate(0, 1) for _ in range(5000)]
    buckets = Counter(map(bucket_of, times))
    times.sort()
    for share in (0.05, 0.5, 0.95):
        found = quantile(buckets, share)
        assert found is not None
        assert found == pytest.approx(times[int(share * len(times))], rel=0.2)
    assert quantile({}, 0.5) is None
    assert 0 < (quantile({0: 1}, 0.5) or 0) <= 0.01
    assert bucket_of(1e9) == bucket_of(1e12)


def test_time_of_a_stream_begins_with_its_own_attempt() -> None:
    late = request(attempt("b/m", "upstream_error", 0), attempt("a/m", start_us=2_000_000), ttft_us=2_100_000)
    assert summed(late)["a/m"][f"ttft:{bucket_of(0.1)}"] == 1


CONFIG = (
    OPEN
    + """
providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
models:
  chat:
    strategy: {weighted: {sticky: session}}
    targets:
      - {model: openai/a, weight: 90, variant: control}
      - {model: groq/b, weight: 10, variant: trial, canary: {abort_if: {error_rate_above_control: 0.1}}}
  quick: [openai/a, groq/b]
  plain: [openai/a]
"""
)


def test_names_with_several_targets_are_counted_and_listed() -> None:
    snapshot = compiled(CONFIG).snapshot
    assert splits_of(snapshot) == {
        "chat": {"openai/a": "control", "groq/b": "trial"},
        "quick": {"openai/a": "", "groq/b": ""},
    }
    listed = targets_of(snapshot, None)
    assert [(one.model, one.share, one.sticky, one.is_canary) for one in listed] == [
        ("chat", 0.9, "session", False),
        ("chat", 0.1, "session", True),
        ("quick", 1.0, None, False),
        ("quick", 0.0, None, False),
    ]
    assert targets_of(snapshot, "quick") == listed[2:]


def test_record_of_a_score_survives_the_journal() -> None:
    record = request(feedback=Feedback(request_id="r", score=0.5))
    assert json.loads(msgspec.json.encode(record))["feedback"] == {"request_id": "r", "score": 0.5}
    assert msgspec.json.decode(msgspec.json.encode(record), type=RequestRecord).feedback == record.feedback
