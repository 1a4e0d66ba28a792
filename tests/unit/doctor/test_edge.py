"""The check of what others can reach."""

from pathlib import Path

import pytest

from fakes.examined import CONFIG, examine, subject


@pytest.fixture(autouse=True)
def _user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("", "", "nothing is open that should be closed"),
        ("server: {listen: 127", "server: {listen: 0", "server.listen: other machines reach"),
        ("console: {listen: 127", "console: {listen: 0", "console.listen: scrapers on other machines"),
        ("governance: {", "governance: {require_key: false, ", "governance.require_key is false"),
        (", rate_limits: [{requests: 100, per: day}]", "", "virtual keys without a limit"),
        ("server: {", "server: {cors: {origins: ['*']}, ", "server.cors.origins has *"),
        ("server: {", "server: {trusted_proxies: ['0.0.0.0/0'], ", "server.trusted_proxies has every address"),
    ],
)
def test_finding(old: str, new: str, text: str, tmp_path: Path) -> None:
    of = subject(tmp_path, CONFIG.replace(old, new, 1), environ={})
    assert of.settings is not None, of.checked.problems
    (found,) = examine("edge", of)
    assert found.text.startswith(text)


def test_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (found,) = examine("edge", subject(tmp_path))
    assert found.text.startswith("this command runs as root")
