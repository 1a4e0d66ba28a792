"""The guide to simulation is true: its configuration compiles, and its commands run."""

import re
import shlex
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from pointsman.cli import build_app
from pointsman.domain.records import AttemptRecord, RequestRecord

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "simulation.md").read_text()
CONFIG = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0]
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
FEW, SLOW = ["--seeds", "1"], ["--rate", "0.5"]  # the last value of an option holds


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pointsman.yaml").write_text(CONFIG)
    (tmp_path / "new.yaml").write_text(CONFIG.replace("weighted", "adaptive"))
    rows = [f"2023-11-16 18:00:{second:02}.0000000,500,20" for second in range(60)]
    (tmp_path / "trace.csv").write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    attempt = AttemptRecord(
        provider="openai", model="gpt-4o-mini", key="k", outcome="ok", start_us=0, duration_us=900_000,
        first_byte_us=400_000, tokens_out=20,
    )  # fmt: skip
    records = [
        RequestRecord(
            time=1.8e9 + at, request_id=str(at), method="POST", path="/v1/chat/completions", status=200, model="chat",
            operation="chat", stream=True, tokens_in=500, tokens_out=20, attempts=(attempt,), ttft_us=400_000,
        )
        for at in range(30)
    ]  # fmt: skip
    (tmp_path / "requests.log").write_bytes(b"\n".join(map(msgspec.json.encode, records)))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_guide_runs(command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "pointsman"
    small = FEW if "--replay" in arguments else [*FEW, *SLOW]  # a log has its own rate
    done = CliRunner().invoke(build_app(), [*arguments, *small])
    assert done.exit_code == 0, done.output
    assert "oracle" in done.output
    for word in ("configured", "against" if "--against" in arguments else "adaptive", "regret"):
        assert word in done.output
    if "--plot" in arguments:
        assert (folder / "latency.svg").read_text().startswith("<svg")


def test_guide_names_every_column() -> None:
    from pointsman.cli import simulate

    missing = [
        name for name in simulate._COLUMNS if name not in ("routing", "$ per 1,000") and f"`{name}`" not in GUIDE
    ]
    assert not missing
