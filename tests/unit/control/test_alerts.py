"""The settings of alerts for the admin process."""

import json
from pathlib import Path

import pytest

from fakes.configuration import ENVIRON, compiled
from integration.gateway import run
from pointsman.control import alerts
from pointsman.control.alerts import alert_settings

KEYS = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {}}
  virtual_keys:
    old: {value: env.OPENAI_API_KEY, team: research, expires_at: "2027-01-01T00:00:00Z"}
    new: {value: env.OTHER}
"""
OTHERS = {**ENVIRON, "OTHER": "pm-another-key-0123456789-0123456789"}


def test_settings_have_the_keys_that_expire_and_the_date_of_the_catalog() -> None:
    settings = run(alert_settings(compiled(KEYS + "alerts: {}\n", OTHERS)))
    assert [(one.name, one.team, one.customer, one.expires_at) for one in settings.keys] == [
        ("old", "research", "", 1798761600.0)
    ]
    assert settings.catalog_date > "2026"
    assert len(settings.rules) > 5


def test_digest_changes_with_the_settings() -> None:
    texts = (KEYS, KEYS + "alerts: {}\n", KEYS + "alerts: {keep_days: 7}\n")
    digests = [run(alert_settings(compiled(text, OTHERS))).digest for text in texts]
    assert len(set(digests)) == 3
    assert digests[1] == run(alert_settings(compiled(texts[1], OTHERS))).digest


def test_keys_of_a_file_of_keys_are_those_that_expire_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "MOST_KEYS", 300)
    lines = [
        json.dumps(
            {"name": f"k{number}", "value": f"sha256:{number:064x}", "team": "research"}
            | ({"expires_at": f"2027-01-{1 + number % 28:02d}T00:00:00Z"} if number % 2 else {})
        )
        for number in range(1000)
    ]
    (tmp_path / "keys.jsonl").write_text("\n".join(lines))
    text = KEYS.replace("governance:", f"governance:\n  keys_file: {tmp_path}/keys.jsonl") + "alerts: {}\n"
    found = run(alert_settings(compiled(text, OTHERS))).keys
    assert len(found) == 300
    assert found[0].expires_at == 1798761600.0
    assert {one.team for one in found} == {"research"}
    assert [one.expires_at for one in found] == sorted(one.expires_at for one in found)
