"""Channels of alerts."""

from pathlib import Path

import pytest

from fakes.configuration import compiled, errors
from integration.gateway import run
from pointsman.config.snapshot_file import read_snapshot, write_snapshot
from pointsman.control.alerts import alert_settings
from unit.config.test_alerts import BASE, CHANNELS, OTHERS, SLACK


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        ("{type: pager, url: 'https://a.example'}", "unknown type 'pager'"),
        ("{type: webhook, url: 'https://a.example'}", "secrets: is required"),
        ("{type: slack, url: 'https://a.example', secrets: [env.HOOK]}", "secrets: has no use here"),
        ("{type: webhook, url: 'https://a.example', secrets: [env.SLACK]}", "must be `whsec_`"),
        ("{type: slack, url: 'https://169.254.169.254/x'}", "metadata service"),
        ("{type: slack, url: 'https://10.1.2.3/x'}", "list its network in egress.allow_private"),
        ("{type: slack, url: env.NOBODY}", "NOBODY is not set"),
    ],
)
def test_faulty_channel_is_an_error(channel: str, problem: str) -> None:
    found = errors(f"{BASE}alerts: {{channels: {{c: {channel}}}}}", OTHERS)
    assert any(problem in str(one) for one in found), found


def test_secret_address_is_in_no_snapshot_and_reaches_admin(tmp_path: Path) -> None:
    one = compiled(f"{BASE}alerts: {{{CHANNELS}}}", OTHERS)
    file = tmp_path / "snapshot"
    write_snapshot(file, one)
    assert b"xyzzy" not in file.read_bytes()
    read = read_snapshot(file, OTHERS)
    assert read.telemetry.alerts == one.telemetry.alerts
    settings = run(alert_settings(read))
    chat = next(channel for channel in settings.channels if channel.name == "chat")
    assert f"{chat.scheme}://{chat.host}{chat.path}" == SLACK
    assert "xyzzy" not in repr(settings)


def test_new_secret_of_a_channel_is_a_new_configuration() -> None:
    text = f"{BASE}alerts: {{{CHANNELS}}}"
    digests = [compiled(text, {**OTHERS, "SLACK": url}).snapshot.digest for url in (SLACK, f"{SLACK}2")]
    assert digests[0] != digests[1]
