"""`pointsman health`: the states with their times and reasons."""

import json
from pathlib import Path

import pytest

from fakes.admin_api import served
from pointsman.cli import _admin
from unit.cli.test_hold import invoke


def test_gateway_without_faults_says_so(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        done = invoke("health", "--url", url)
        assert done.output == "no provider has had a fault since the start, and nothing is held\n"
        data = json.loads(invoke("health", "--json", "--url", url).output)
        assert data == {"holds": [], "states": [], "suspecting_workers": 0}


def test_states_of_targets_and_keys_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = {"provider": "alpha", "model": "m", "operation": "chat", "state": "failed", "since": 0.0, "reason": "down"}
    key = {"provider": "beta", "model": "*", "key": "k1", "state": "recovering", "since": 60.0, "reason": "rejected"}
    rows = [{**target, "workers": {"failed": 1, "degraded": 1}}, {**key, "workers": {"recovering": 2}}]
    found = {"holds": [], "states": rows, "suspecting_workers": 1}
    monkeypatch.setattr(_admin, "get", lambda *arguments: found)
    monkeypatch.setenv("COLUMNS", "200")
    lines = invoke("health").output.splitlines()
    assert "check this machine's network and DNS" in lines[0]
    shown = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert shown["alpha"][:6] == ["alpha", "m", "chat", "failed", "1970-01-01", "00:00:00Z"]
    assert shown["alpha"][6:] == ["1", "failed,", "1", "degraded", "down"]
    assert shown["beta"][:5] == ["beta", "*", "key", "k1", "recovering"]
