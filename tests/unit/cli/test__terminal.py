"""No command prints characters that a terminal interprets, even if clients or providers wrote them."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, scope
from pointsman import cli
from pointsman.cli import build_app
from pointsman.cli._terminal import plain, visible

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN, "KEY": "sk-of-the-tests"}
EVIL = "x\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\u200b\u2028y\r\nz\x7f"
INTERPRETED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
SOURCES = sorted(Path(cli.__file__).parent.glob("*.py"))


@given(st.text())
def test_text_becomes_one_visible_line_without_loss(text: str) -> None:
    shown = visible(text)
    assert not INTERPRETED.search(shown)
    assert "\n" not in shown
    assert not any(0xD800 <= ord(one) < 0xE000 for one in shown)
    if text.isprintable():
        assert shown == text
    assert visible(shown) == shown


def test_ordinary_text_is_unchanged() -> None:
    assert visible("Grüße, 模型 ملف café") == "Grüße, 模型 ملف café"
    assert visible("a\x1b[2Jb\u202ec") == "a\\x1b[2Jb\\u202ec"
    assert plain("=1+1\x1b") == "'=1+1\\x1b"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_only_one_module_prints(file: Path) -> None:
    if file.name != "_terminal.py":
        found = re.findall(r"(?:typer|click)\.(?:echo|secho)|\bprint\(|sys\.std(?:out|err)\.write", file.read_text())
        assert not found, f"{file} prints with {found}"


def fill(plane: ControlPlane) -> None:
    """Write every text that clients and providers may choose."""
    of = scope(2, virtual_key=EVIL, team=EVIL, customer=EVIL, provider=EVIL, model=EVIL, variant=EVIL)
    attempt: dict[str, Any] = {"provider": EVIL, "model": EVIL, "key": EVIL, "outcome": EVIL, "message": EVIL}
    plane.write(
        1, of=of, tags={EVIL: EVIL}, model=EVIL, provider=EVIL, message=EVIL, code=EVIL, path=EVIL, session=EVIL,
        verdicts=[EVIL], team=EVIL, customer=EVIL, variant=EVIL, strategy=EVIL, source=EVIL, client_request_id=EVIL,
        attempts=[{**attempt, "start_us": 0, "duration_us": 1}],
    )  # fmt: skip
    plane.inquiry_handler.parts.lease_table.charge(7, f"team:{EVIL}|usd|day", int(time.time()) // 86_400 * 86_400, 5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "--by", "key,team,customer,provider,model,variant"],
        ["usage", "--by", "tag"],
        ["usage", "--by", "key,tag", "--csv"],
        ["usage", "--json"],
        ["usage", "--team", EVIL.replace("x", "q")],
        ["logs"],
        ["logs", "--json"],
        ["trace", "ID"],
        ["trace", "ID", "--json"],
        ["trace", EVIL],
        ["budgets"],
        ["budgets", "--json"],
        ["reconcile", EVIL, "--usd", "1"],
        ["reconcile", EVIL, "--usd", "1", "--json"],
    ],
    ids=" ".join,
)
def test_text_from_providers_and_clients_is_escaped(arguments: list[str], tmp_path: Path) -> None:
    wide = {**ENV, "COLUMNS": "4000"}
    with served(tmp_path, fill) as url:
        if "ID" in arguments:
            listed = CliRunner().invoke(build_app(), ["logs", "--json", "--url", url], env=wide)
            (one,) = re.findall('"request_id": "([^"]*)"', listed.output)
            arguments = [one if word == "ID" else word for word in arguments]
        done = CliRunner().invoke(build_app(), [*arguments, "--url", url], env=wide)
        assert not INTERPRETED.search(done.output), done.output
        assert "\\x1b" in done.output or "\\u001b" in done.output, done.output


@pytest.mark.parametrize(
    "command", [["check"], ["check", "--json"], ["explain", "--model", EVIL, "-c"], ["models", "-c"]]
)
def test_text_from_the_configuration_is_escaped(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    name = EVIL.encode("unicode_escape").decode()
    file.write_text(f'providers: {{openai: env.KEY}}\nmodels: {{"{name}": ["openai/{name}"]}}\nwrong: "{name}"\n')
    done = CliRunner().invoke(build_app(), [*command, str(file)], env=ENV)
    assert not INTERPRETED.search(done.output), done.output
