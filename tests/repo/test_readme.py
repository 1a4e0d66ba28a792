"""The README is true: its examples compile, its commands print the shown output, and its comparison links to checks.

Lines of a shown output may be left out. An ellipsis stands for omitted text, and whitespace does not count.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.clock import PATIENCE_S
from fakes.processes import free_ports
from pointsman.cli import build_app
from pointsman.config.compile import compile_file

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# A block of commands and the output that follows it.
SHOWN = re.findall(r"^```sh\n([^`]*?)^```\n\n```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CLAIM = re.compile(r"\]\(((?:tests|bench)/[^)#]+)\)")


def squeezed(text: str) -> str:
    return " ".join(text.split())


def shown(command: str) -> tuple[str, str]:
    """Return the only block of commands that contains the text, and its output."""
    ((commands, output),) = [pair for pair in SHOWN if command in pair[0]]
    return commands, output


def missing(expected: str, printed: str) -> list[str]:
    """List the parts of a shown output that were not printed. Lines of JSON are one part, broken to fit the page."""
    lines = [squeezed(expected)] if expected.startswith("{") else expected.splitlines()
    parts = [squeezed(part) for line in lines for part in line.split("…")]
    return [part for part in parts if part not in squeezed(printed)]


def comparison() -> list[list[str]]:
    """Return the cells of each row of the table, without its two lines of heading."""
    table = README.split("\n## Comparison\n")[1].split("\n## ")[0]
    return [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_configuration_of_the_readme_compiles(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text)
    environ = {name: f"value-of-{name}-for-the-test" for name in re.findall(r"\benv\.([A-Z_]+)", text)}
    checked = compile_file(path, environ)
    assert [str(problem) for problem in checked.problems if problem.severity == "error"] == []
    assert checked.compiled is not None


def test_explanation_of_the_readme_is_the_printed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pointsman.yaml").write_text(YAML[0])
    monkeypatch.chdir(tmp_path)
    command, expected = shown("pointsman explain")
    result = CliRunner().invoke(build_app(), command.split()[1:])
    assert result.exit_code == 0, result.output
    assert result.output == expected


def test_comparison_has_rows_where_others_are_ahead() -> None:
    rows = comparison()
    assert len(rows) > 10
    assert any(row[1].strip().startswith("no") for row in rows)


@pytest.mark.parametrize("row", comparison(), ids=lambda row: squeezed(row[0].strip("[ ").split("]")[0]))
def test_claim_of_the_comparison_links_to_its_check(row: list[str]) -> None:
    assert len(row) == 4
    claim = row[1].strip()
    if claim.startswith("no") or "LICENSE" in claim:
        return
    checks = CLAIM.findall(claim)
    assert checks, f"{claim} links to no test and no benchmark"
    for check in checks:
        assert (ROOT / check).is_file(), f"{check} does not exist"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_demonstration_prints_the_output_of_the_readme(tmp_path: Path) -> None:
    port, console_port = free_ports(2)
    demo = [sys.executable, "-m", "pointsman", "demo", "--port", str(port), "--console-port", str(console_port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    token = ""

    def run(command: str) -> str:
        command = command.replace(":8080", f":{port}").replace("pm-admin-...", token)
        command = re.sub(r"(pointsman trace \S+)", rf"\1 --url http://127.0.0.1:{console_port}", command)
        done = subprocess.run(
            ["bash", "-ec", command],
            env={**os.environ, "PATH": path, "COLUMNS": "200"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.stdout + done.stderr

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(demo, stdout=log, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"pm-admin-[\w-]+", line):
                token = found[0]
            if "listening on" in line:
                break
        command, expected = shown('"model": "chat"')
        failover = run(command)
        assert missing(expected, failover) == []
        command, expected = shown("pm-demo-notebook")
        assert missing(expected, run(command)) == []
        (command,) = re.findall(r"^```sh\n([^`]*/v1/messages[^`]*)^```", README, re.MULTILINE)
        providers = set()
        for _ in range(20):  # the first provider fails half of its requests
            printed = run(command)
            assert '"type":"message"' in printed
            providers |= set(re.findall(r"x-pointsman-provider: (\S+)", printed))
            if len(providers) == 2:
                break
        assert providers == {"flaky", "courier"}
        (request_id,) = re.findall(r"x-pointsman-request-id: (\S+)", failover)
        command, expected = shown("pointsman trace")
        command = re.sub(r"(pointsman trace) \S+", rf"\1 {request_id}", command)
        # Control writes the record to the store some time after the answer.
        command = re.sub(r"(pointsman trace .*)", r"for i in $(seq 50); do \1 && break; sleep 0.2; done", command)
        assert missing(expected, run(command)) == []
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
