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
