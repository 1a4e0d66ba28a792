"""Recorded exchanges through a gateway and in all dialects: see `integration.recordings`."""

from pathlib import Path

import pytest

from integration import recordings
from integration.gateway import run

CUTS = 3  # of each stream; `make replay` cuts the shorter ones at every byte


def test_recorded_exchanges_lose_nothing_in_any_dialect() -> None:
    results = run(recordings.play(recordings.exchanges(), CUTS))
    found = [item for one in results.providers.values() for item in one.exceptions if item.check != "recording"]
    assert not found, "\n".join(f"{item.file}: {item.check}: {item.reason}" for item in found)
    assert recordings.is_good(results)
    for host in ("api.openai.com", "api.anthropic.com"):
        assert results.providers[host].passed == results.providers[host].files


def test_command_says_that_it_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recordings, "SHARED", tmp_path)
    monkeypatch.setattr("sys.argv", ["recordings", "--json", str(tmp_path / "results.json")])
    assert recordings.main() == 0
    assert capsys.readouterr().out.startswith("skipped: there are no recordings at ")
    assert not list(tmp_path.iterdir()), "figures were written without recordings"
