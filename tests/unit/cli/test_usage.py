"""`pointsman usage`: readable and exact output, and helpful errors."""

import csv
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, scope
from pointsman.cli import build_app

PARTS = ("estimated", "reserved")
ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def fill(plane: ControlPlane) -> None:
    plane.write(1, nano=1_234_567_890_123, tags={"env": "[red]dev"})
    plane.write(2, of=scope(2, virtual_key="you", team=None), nano=5)


def test_table_begins_with_the_highest_cost(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["usage", "--url", url, "--by", "key,team"], env=ENV)
        assert done.exit_code == 0, done.output
        lines = [line.split() for line in done.output.splitlines() if line.strip()]
        assert lines[0] == ["key", "team", "attempts", "failures", "tokens", "in", "tokens", "out", "cost", *PARTS]
        assert ["me", "research", "1", "0", "10", "5", "$1,234.567890123", "-", "-"] in lines
        assert ["you", "-", "1", "0", "10", "5", "$0.000000005", "-", "-"] in lines
        assert lines.index(["me", "research", "1", "0", "10", "5", "$1,234.567890123", "-", "-"]) == 2
        assert done.output.splitlines()[-1] == "total $1,234.567890128"

        by_tag = CliRunner().invoke(build_app(), ["usage", "--url", url, "--by", "tag"], env=ENV)
        assert "env=[red]dev" in by_tag.output, "text from clients is not interpreted as markup"
        assert by_tag.output.splitlines()[-1].startswith("no total"), "a request may have several tags"
        with_tag = ["usage", "--url", url, "--by", "key", "--tag", "env=[red]dev"]
        done = CliRunner().invoke(build_app(), with_tag, env=ENV)
        lines = [line.split() for line in done.output.splitlines() if line.strip()]
        assert lines[0][:2] == ["key", "requests"]
        assert ["me", "1", "-", "10", "5", "$1,234.567890123", "-", "-"] in lines
        assert not any(line[0] == "you" for line in lines)
        by_day = CliRunner().invoke(build_app(), ["usage", "--url", url, "--by", "day", "--key", "you"], env=ENV)
        assert time.strftime("%Y-%m-%d 00:00Z", time.gmtime()) in by_day.output


@pytest.mark.parametrize("filter_", ["team=red", "customer=c", "provider=p", "model=m", "variant=v"])
def test_usage_can_be_filtered(filter_: str, tmp_path: Path) -> None:
    def fill_both(plane: ControlPlane) -> None:
        plane.write(1)
        plane.write(2, of=scope(2, virtual_key="you", team="red", customer="c", provider="p", model="m", variant="v"))

    name, _, value = filter_.partition("=")
    with served(tmp_path, fill_both) as url:
        done = CliRunner().invoke(build_app(), ["usage", "--url", url, "--json", f"--{name}", value], env=ENV)
        assert done.exit_code == 0, done.output
        assert [row["key"] for row in json.loads(done.output)["rows"]] == ["you"]


def test_json_output_with_a_token_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    with served(tmp_path, fill) as url:
        arguments = ["usage", "--url", url, "--json", "--by", "key", "--token-file", str(file)]
        done = CliRunner().invoke(build_app(), arguments, env={"POINTSMAN_ADMIN_TOKEN": ""})
        assert done.exit_code == 0, done.output
        assert {row["key"]: row["cost_nano"] for row in json.loads(done.output)["rows"]} == {
            "me": 1_234_567_890_123,
            "you": 5,
        }
        wrong = CliRunner().invoke(build_app(), ["usage", "--url", url], env={"POINTSMAN_ADMIN_TOKEN": "wrong"})
        assert wrong.exit_code == 1
        assert f"{url} returned 401: this is not the admin token" in wrong.output


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--by", "colour"], ENV, "unknown field 'colour'; use key, team"),
        (["--url", "ftp://here"], ENV, "must begin with http:// or https://"),
        (["--url", "http://127.0.0.1:1"], ENV, ": Connection refused; is the gateway running?"),
        ([], {"POINTSMAN_ADMIN_TOKEN": ""}, "no admin token; set POINTSMAN_ADMIN_TOKEN"),
        (["--token-file", "/nowhere"], ENV, "cannot read /nowhere"),
    ],
)
def test_misuse_is_explained(arguments: list[str], environ: dict[str, str], message: str) -> None:
    done = CliRunner().invoke(build_app(), ["usage", *arguments], env={**environ, "COLUMNS": "200"})
    assert done.exit_code != 0
    assert message in " ".join(done.output.replace("│", " ").split())
    assert TOKEN not in done.output


def test_since_and_until_limit_the_period(tmp_path: Path) -> None:
    day = int(time.time() // 86_400) * 86_400 - 3 * 86_400

    def fill_days(plane: ControlPlane) -> None:
        for number in range(3):
            plane.write(number, day + number * 86_400 + 7200, nano=10**number)

    def spent(url: str, *arguments: str) -> int:
        done = CliRunner().invoke(build_app(), ["usage", "--json", "--url", url, *arguments], env=ENV)
        assert done.exit_code == 0, done.output
        total = json.loads(done.output).get("total")
        return int(total["cost_nano"]) if total is not None else 0

    def iso(at: int, form: str = "%Y-%m-%d") -> str:
        return time.strftime(form, time.gmtime(at))

    with served(tmp_path, fill_days) as url:
        assert spent(url, "--since", iso(day + 86_400)) == 110
        assert spent(url, "--since", iso(day), "--until", iso(day + 86_400)) == 1
        assert spent(url, "--until", iso(day + 86_400, "%Y-%m-%dT%H:00")) == 1
        assert spent(url, "--until", iso(day + 3 * 3600, "%Y-%m-%dT%H:00+01:00")) == 0
        assert spent(url, "--since", str(day), "--until", str(day + 2 * 86_400)) == 11
        for arguments, message in (
            (["--since", "yesterday"], "'yesterday' is not a time"),
            (["--since", "2026-01-01", "--days", "3"], "use only one of --days and --since"),
            (["--csv", "--json"], "use only one of --json, --csv and --chart"),
        ):
            done = CliRunner().invoke(build_app(), ["usage", "--url", url, *arguments], env=ENV)
            assert done.exit_code == 2
            assert message in done.output
        done = CliRunner().invoke(build_app(), ["usage", "--url", url, "--key", "nobody"], env=ENV)
        assert done.exit_code == 1
        assert "there is no virtual key 'nobody'" in done.output


def test_csv_has_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_many(plane: ControlPlane) -> None:
        for number in range(5):
            plane.write(number, of=scope(number, virtual_key=f"=key,{number}"), nano=number)

    monkeypatch.setattr("pointsman.cli.usage.PAGE", 2)
    with served(tmp_path, fill_many) as url:
        done = CliRunner().invoke(build_app(), ["usage", "--by", "key", "--csv", "--url", url], env=ENV)
        rows = list(csv.DictReader(done.output.splitlines()))
        assert [row["key"] for row in rows] == [f"'=key,{number}" for number in range(5)]
        assert [int(row["cost_nano"]) for row in rows] == list(range(5))


def test_chart_has_a_bar_for_each_row(tmp_path: Path) -> None:
    hour = int(time.time() // 3600) * 3600

    def fill_hours(plane: ControlPlane) -> None:
        for number, nano in enumerate((800, 400, 1)):
            plane.write(number, hour + number, of=scope(number + 1, virtual_key=f"key-{number}"), nano=nano)

    with served(tmp_path, fill_hours) as url:

        def bars(*arguments: str) -> list[list[str]]:
            done = CliRunner().invoke(build_app(), ["usage", "--url", url, "--chart", *arguments], env=ENV)
            assert done.exit_code == 0, done.output
            return [line.split() for line in done.output.splitlines()]

        assert bars("--by", "key") == [
            ["key-0", "█" * 60, "$0.0000008"],
            ["key-1", "█" * 30, "$0.0000004"],
            ["key-2", "▏", "$0.000000001"],
        ]
        assert bars("--by", "minute", "--measure", "requests")[0][2:] == ["█" * 60, "3"]
        assert bars("--by", "status", "--measure", "tokens") == [["200", "█" * 60, "45"]]
        assert bars("--key", "key-1", "--status", "500") == [["no", "usage", "found"]]
