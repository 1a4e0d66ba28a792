"""`pointsman trace`: the story of one request."""

import json
import time
from pathlib import Path

from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, request_id, scope
from pointsman.cli import build_app
from pointsman.cli.trace import timeline

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}
NOW = time.time()


def fill(plane: ControlPlane) -> None:
    failed = {
        "provider": "groq", "model": "llama", "key": "default", "outcome": "upstream_error", "status": 500,
        "message": "it answered 500", "start_us": 100, "duration_us": 1500, "events_left_out": 1,
    }  # fmt: skip
    served_by = {
        "provider": "openai", "model": "gpt-4o", "key": "spare", "outcome": "ok", "status": 200, "start_us": 1700,
        "duration_us": 2000, "cost_nano": 70, "usage_source": "reported", "tokens_in": 10, "tokens_out": 5,
    }  # fmt: skip
    plane.write(
        1,
        NOW,
        attempts=[failed, served_by],
        source="models.chat",
        tags={"env": "[red]dev"},
        session="s-1",
        agent="a-2",
        parent_agent="a-1",
        client="198.51.100.7",
        client_retries="2",
    )
    plane.write(2, NOW + 1, of=scope(2, virtual_key="you"), status=429, code="rate_limited", message="no more")
    plane.writer.intent(scope(), request_id(3, NOW + 2), 1, NOW + 2, 1000, 10)
    plane.writer.close()


def test_one_request_is_printed_with_attempts_and_verdicts(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["trace", request_id(1, NOW), "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        text = " ".join(done.output.split())
        assert f"request: {request_id(1, NOW)}" in text
        assert f"time: {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(NOW))} status" in text
        assert "key, team, customer: me, research" in text
        assert "served by: openai/gpt-4o" in text
        assert "strategy priority, from models.chat 1. groq/llama 2. openai/gpt-4o - groq/llama excluded" in text
        assert "client: 198.51.100.7 client's retry: 2 session: s-1" in text
        assert "agent: a-2, started by a-1 tags: env=[red]dev" in text
        assert "upstream_error: it answered 500 (events dropped: 1) 1.5 ms" in text
        assert "2 openai gpt-4o spare ok 2.0 ms 10 in, 5 out $0.00000007 (reported)" in text
        assert text.endswith("groq/llama excluded: is excluded by the key")

        dead = CliRunner().invoke(build_app(), ["trace", request_id(3, NOW + 2), "--url", url], env=ENV)
        assert "status: the worker died worker_died: " in " ".join(dead.output.split())

        as_json = CliRunner().invoke(build_app(), ["trace", request_id(2, NOW + 1), "--url", url, "--json"], env=ENV)
        assert json.loads(as_json.output)["code"] == "rate_limited"

        none = CliRunner().invoke(build_app(), ["trace", "no-such", "--url", url], env=ENV)
        assert none.exit_code == 1
        assert "returned 404: there is no request 'no-such'" in none.output


def test_attempts_are_drawn_over_time() -> None:
    attempts = [
        {"start_us": 0, "duration_us": 500, "outcome": "upstream_error"},
        {"start_us": 500, "duration_us": 500, "first_byte_us": 750, "outcome": "ok"},
    ]
    first, second = timeline(attempts, 1000)
    assert first == f"1  {'.' * 25}x{'':25}  0.5 ms"
    assert second == f"2  {'':25}{'.' * 12}{'-' * 13}|  1.0 ms"
    assert timeline(attempts[:1], 1000) == [], "one attempt needs no drawing"
