"""GET /api/v1/variants: shares, measures, reasons and scores by target."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.control import CONFIG, ControlPlane, control_plane, record, request_id
from integration.databases import database
from integration.gateway import run
from pointsman.domain.records import Feedback

CHAT = """\
models:
  chat:
    strategy: {weighted: {sticky: session}}
    targets:
      - {model: openai/gpt-4o, weight: 75, variant: control}
      - {model: openai/gpt-4o-mini, weight: 25, variant: trial, canary: {abort_if: {error_rate_above_control: 0.1}}}
"""
NOW = time.time()


def attempt(model: str, outcome: str = "ok", nano: int = 70) -> dict[str, Any]:
    facts = {"provider": "openai", "model": model, "key": "k", "outcome": outcome, "cost_nano": nano}
    return {**facts, "start_us": 0, "duration_us": 1000}


def write(plane: ControlPlane, number: int, *attempts: dict[str, Any], **fields: Any) -> str:
    id_, last = request_id(number, NOW), attempts[-1]["model"]
    variant = {"gpt-4o": "control", "gpt-4o-mini": "trial"}[last]
    values = {"attempts": attempts, "upstream_model": last, "variant": variant, "verdicts": (), **fields}
    plane.writer.request(record(id_, NOW, **values))
    return id_


def score(plane: ControlPlane, number: int, id_: str, value: float, **owner: Any) -> None:
    given = msgspec.to_builtins(Feedback(request_id=id_, score=value))
    fields = {
        "feedback": given,
        "attempts": (),
        "provider": None,
        "model": None,
        "verdicts": (),
        "path": "/v1/feedback",
    }
    plane.writer.request(record(request_id(number, NOW), NOW, **{**fields, **owner}))


async def check(folder: Path, url: str | None) -> None:
    async with control_plane(folder, url, config=CHAT + CONFIG) as plane:
        ids = [write(plane, number, attempt("gpt-4o"), ttft_us=500_000) for number in range(6)]
        ids.append(write(plane, 6, attempt("gpt-4o-mini", nano=10), kept_by="session"))
        write(plane, 7, attempt("gpt-4o-mini", "upstream_error", 0), attempt("gpt-4o"))
        verdict = {"verdicts": ["openai/gpt-4o-mini: it is worse"], "verdict_codes": ["canary_aborted"]}
        write(plane, 8, attempt("gpt-4o"), **verdict)
        score(plane, 20, ids[0], 0.0)
        await plane.ingest()
        score(plane, 21, ids[0], 1.0)
        score(plane, 25, ids[0], 0.3, time=NOW - 5)  # an older one, from the journal of another worker
        score(plane, 22, ids[1], 0.5, virtual_key="other")  # of the same team
        score(plane, 23, ids[6], 1.0, virtual_key="other", team=None)
        score(plane, 24, request_id(999, NOW), 1.0)  # of no request
        await plane.ingest()
        found = await plane.data("/api/v1/variants", model="chat")
        assert found["more"] is False
        control, trial = found["rows"]
        assert (control["target"], control["variant"]) == ("openai/gpt-4o", "control")
        assert (control["configured_share"], control["observed_share"]) == (0.75, 8 / 9)
        assert (control["requests"], control["attempts"], control["success_share"]) == (8, 8, 1.0)
        assert 0.4 < control["ttft_p50_s"] <= control["ttft_p95_s"] < 0.6
        assert (control["mean_cost_nano"], control["mean_cost_usd"]) == (70, "0.000000070")
        assert control["reasons"] == {"took_over": 1}
        assert (control["feedback_count"], control["feedback_mean"]) == (2, 0.75)
        assert (trial["configured_share"], trial["observed_share"]) == (0.25, 1 / 9)
        assert (trial["attempts"], trial["success_share"]) == (2, 0.5)
        assert trial["reasons"] == {"canary_aborted": 1, "failed_over": 1, "sticky": 1}
        assert (trial["sticky"], trial["is_canary"]) == ("session", True)
        assert "feedback_count" not in trial, "another owner's score does not count"
        assert found["rows"] == (await plane.data("/api/v1/variants"))["rows"]


def test_table_has_shares_measures_reasons_and_scores(tmp_path: Path) -> None:
    run(check(tmp_path, None))


def test_table_is_the_same_on_postgresql(tmp_path: Path) -> None:
    async def main() -> None:
        async with database() as url:
            await check(tmp_path, url)

    run(main())


def test_configured_targets_without_requests_are_shown(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CHAT + CONFIG) as plane:
            rows = (await plane.data("/api/v1/variants"))["rows"]
            assert [(row["variant"], row["configured_share"]) for row in rows] == [("control", 0.75), ("trial", 0.25)]
            assert all("observed_share" not in row for row in rows)

    run(main())


@pytest.mark.parametrize("parameters", [{"model": "nothing"}, {"since": 5, "until": 4}, {"modle": "chat"}])
def test_faulty_parameters_are_rejected(parameters: dict[str, Any], tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert (await plane.get("/api/v1/variants", **parameters)).status_code in (404, 422)
            assert (await plane.get("/api/v1/variants", token=None)).status_code == 401

    run(main())
