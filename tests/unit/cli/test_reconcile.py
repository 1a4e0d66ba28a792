"""`pointsman reconcile`: one attempt or a file of attempts, each once, with precise errors."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, request_id, scope, write_estimated
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}
NOW = time.time()
FIRST, SECOND = (f"{request_id(number, NOW)}-1" for number in (1, 2))


def fill(plane: ControlPlane) -> None:
    for number in (1, 2):
        write_estimated(plane.writer, number, NOW, scope(), 70_000, 1_000_000)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments), env=ENV)


def test_one_attempt_is_reconciled_once(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = invoke("reconcile", FIRST, "--usd", "0.0005", "--url", url)
        assert (done.exit_code, done.output) == (0, "reconciled 1 of 1 attempts\n")
        again = invoke("reconcile", FIRST, "--usd", "0.0005", "--url", url)
        assert again.exit_code == 1
        assert f"{FIRST}: it is already reconciled, at 0.000500000 dollars" in again.output
        unknown = invoke("reconcile", "nobody-1", "--usd", "1", "--url", url)
        assert "nobody-1: there is no such attempt" in unknown.output
        spent = json.loads(invoke("usage", "--by", "key", "--json", "--url", url).output)["total"]
        assert (spent["cost_nano"], spent["estimated_nano"], spent["held_nano"]) == (570_000, 70_000, 930_000)
        shown = invoke("trace", request_id(1, NOW), "--url", url).output
        assert "$0.0005 (reconciled)" in shown
        shown = invoke("trace", request_id(2, NOW), "--url", url).output
        assert "$0.00007 (estimated)" in shown
        assert "(estimated, $0.00093 more held)" in shown
        assert "$0.00007 (estimated)" in invoke("logs", "--url", url).output
        assert "of which $0.00007 estimated; budgets hold $0.00093 more" in invoke("usage", "--url", url).output


@pytest.mark.parametrize(
    "content",
    [
        "attempt_id,usd\n{0},0.0005\n{1}, $0.0002\nnobody-1,1\n",
        "usd,provider,attempt_id\n0.0005,openai,{0}\n0.0002,openai,{1}\n1,x,nobody-1\n",
        '{{"attempt_id":"{0}","usd":0.0005}}\n\n{{"attempt_id":"{1}","usd":"0.0002"}}\n{{"attempt_id":"nobody-1","usd":1}}',
    ],
)
def test_file_of_attempts_is_reconciled(content: str, tmp_path: Path) -> None:
    file = tmp_path / "bill"
    file.write_text(content.format(FIRST, SECOND))
    (tmp_path / "plane").mkdir()
    with served(tmp_path / "plane", fill) as url:
        done = invoke("reconcile", str(file), "--url", url)
        assert done.exit_code == 1
        assert "reconciled 2 of 3 attempts" in done.output
        assert "nobody-1: there is no such attempt" in done.output
        (row,) = json.loads(invoke("usage", "--by", "key", "--json", "--url", url).output)["rows"]
        assert (row["cost_nano"], row["estimated_nano"], row["held_nano"]) == (700_000, 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("attempt_id,usd\na-1,much\n", "'much' is not an amount in dollars"),
        ("attempt_id,usd\na-1,-1\n", "'-1' is not an amount in dollars"),
        ("attempt_id,usd\na-1,1\na-1,2\n", "duplicate attempt 'a-1'"),
        ("attempt,usd\na-1,1\n", "attempt_id and usd are required"),
        ("attempt_id,usd\n", "contains no attempts"),
        ('{"attempt_id": "a-1"}\n', "attempt_id and usd are required"),
        ('{"attempt_id": "a-1", "usd": 1}\n[1]\n', "not a JSON object"),
        (None, "bill: No such file or directory; to reconcile one attempt, set its cost with --usd"),
    ],
)
def test_invalid_file_changes_nothing(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bill"
    if content is not None:
        file.write_text(content)
    done = invoke("reconcile", str(file), "--url", "http://127.0.0.1:1")
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("\u2502", " ").split())


DAY = time.strftime("%Y-%m-%d", time.gmtime(NOW))
MIDNIGHT = int(NOW // 86_400) * 86_400
OPENAI_COSTS = {
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": MIDNIGHT,
            "results": [
                {"amount": {"value": 0.00005, "currency": "usd"}, "line_item": "gpt-4o-2024-08-06, input"},
                {"amount": {"value": 0.00003, "currency": "usd"}, "line_item": "gpt-4o-2024-08-06, output"},
                {"amount": {"value": 0.5, "currency": "usd"}, "line_item": "web search tool calls"},
            ],
        }
    ],
}
OPENAI_USAGE = {
    "data": [{"start_time": MIDNIGHT, "results": [{"input_tokens": 12, "output_tokens": 5, "model": "gpt-4o"}]}]
}
ANTHROPIC_COSTS = {
    "data": [
        {"starting_at": f"{DAY}T00:00:00Z", "results": [{"amount": "0.008", "currency": "USD", "model": "gpt-4o"}]}
    ]
}
ANTHROPIC_USAGE = {
    "data": [
        {
            "starting_at": f"{DAY}T00:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 4,
                    "cache_read_input_tokens": 5,
                    "cache_creation": {"ephemeral_1h_input_tokens": 1, "ephemeral_5m_input_tokens": 2},
                    "output_tokens": 5,
                    "model": "gpt-4o",
                }
            ],
        }
    ]
}


@pytest.mark.parametrize(
    ("content", "options", "nano", "tokens_in"),
    [
        (json.dumps(OPENAI_COSTS), [], 10_000, None),
        (f"{json.dumps(OPENAI_COSTS)}\n{json.dumps(OPENAI_USAGE)}\n", [], 10_000, 2),
        (json.dumps(OPENAI_USAGE), [], None, 2),
        (json.dumps(ANTHROPIC_COSTS), [], 10_000, None),
        (json.dumps([ANTHROPIC_USAGE]), [], None, 2),
        (f"date,model,cost_usd,input_tokens\n{DAY},gpt-4o,0.00008,12\n", [], 10_000, 2),
        (
            f"Tag,Modell,Preis\n{DAY}T23:00:00Z,gpt-4o,$0.00008\n",
            ["--column", "day=Tag", "--column", "model=Modell", "--column", "usd=Preis"],
            10_000,
            None,
        ),
    ],
)
def test_export_of_a_provider_is_compared(
    tmp_path: Path, content: str, options: list[str], nano: int | None, tokens_in: int | None
) -> None:
    file = tmp_path / "export"
    file.write_text(content)
    (tmp_path / "plane").mkdir()
    with served(tmp_path / "plane", lambda plane: plane.write(1, NOW, nano=70_000)) as url:
        command = ["reconcile", str(file), "--provider", "openai", *options, "--url", url]
        found = invoke(*command, "--json")
        assert found.exit_code == 0, found.output
        row = next(one for one in json.loads(found.output) if one["model"] == "gpt-4o")
        assert (row["day"], row["gateway_nano"], row["difference_nano"]) == (DAY, 70_000, nano)
        assert row["difference_tokens_in"] == tokens_in
        shown = invoke(*command).output
        assert ("+$0.00001" in shown) == (nano is not None)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a,b\n1,2\n", "needs columns for day"), ('{"data": [{"x": 1}]}', "has no buckets"), ("", "needs columns")],
)
def test_export_that_cannot_be_read_is_explained(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "export"
    file.write_text(content)
    found = invoke("reconcile", str(file), "--provider", "openai")
    assert found.exit_code == 2
    assert message.split(maxsplit=1)[0] in found.output


def test_unknown_column_is_named(tmp_path: Path) -> None:
    found = invoke("reconcile", str(tmp_path), "--provider", "openai", "--column", "price=x")
    assert "'price' is no column" in found.output
