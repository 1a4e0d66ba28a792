"""`pointsman logs`: the latest requests, and those that follow."""

import json
import re
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, request_id, scope
from pointsman.cli import build_app

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


def test_latest_requests_are_printed_as_a_table(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["logs", "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        lines = [line for line in done.output.splitlines() if "-7000-8000-" in line]  # a part of every id
        assert ["worker died" in line for line in lines] == [True, False, False], "the newest first"
        assert "$0.00000007 " in lines[2]
        assert all(word in lines[1] for word in (" you ", " chat ", " openai ", " 429 ", request_id(2, NOW + 1)))

        chosen = CliRunner().invoke(build_app(), ["logs", "--url", url, "--key", "you", "--json"], env=ENV)
        assert [row["virtual_key"] for row in json.loads(chosen.output)] == ["you"]
        none = CliRunner().invoke(build_app(), ["logs", "--url", url, "--status", "418"], env=ENV)
        assert none.output == "no request found; new requests take a moment to appear, and old ones are deleted\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_new_requests_follow_once_each(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that began earlier but ended later follows too."""

    def row(number: int) -> dict[str, object]:
        facts = {"virtual_key": "me", "model": "chat", "provider": "openai", "status": 200, "cost_nano": 70}
        return {"request_id": f"id-{number}", "at": NOW + number, **facts}

    answers = [[row(2)], [row(3), row(2)], [row(3), row(2), row(1)]]
    asked: list[dict[str, object]] = []

    def get(url: str, path: str, parameters: dict[str, object], token_file: object) -> list[dict[str, object]]:
        asked.append(parameters)
        if not answers:
            raise KeyboardInterrupt
        return answers.pop(0)

    monkeypatch.setattr("pointsman.cli._admin.get", get)
    monkeypatch.setattr("time.sleep", lambda _: None)
    options = ["--follow", "--key", "me", *(["--json"] if as_json else [])]
    done = CliRunner().invoke(build_app(), ["logs", *options], env=ENV)
    assert done.exit_code == 0, done.output
    assert re.findall(r"id-\d", done.output) == ["id-2", "id-3", "id-1"]
    assert all(parameters["key"] == "me" for parameters in asked)
    assert all(float(str(one["since"])) < time.time() - 800 for one in asked[1:]), "so earlier ones follow at their end"
    if as_json:
        assert [json.loads(line)["model"] for line in done.output.splitlines()] == ["chat"] * 3


def test_full_answers_are_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [4]
    row = {"request_id": "id", "at": NOW, "virtual_key": "me", "model": "chat", "provider": "a", "status": 200}

    def get(*_: object) -> list[dict[str, object]]:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return [row | {"cost_nano": 70}]

    monkeypatch.setattr("pointsman.cli._admin.get", get)
    monkeypatch.setattr("pointsman.cli.logs.MOST", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    done = CliRunner().invoke(build_app(), ["logs", "--follow"], env=ENV)
    assert done.stderr == "1 requests or more in 15 minutes: those that take long may be left out\n"
