"""The environment and the settings that a supervisor passes to its children."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.configuration import OPEN, compiled
from pointsman.config.settings import Settings
from pointsman.runtime.children import Starter
from pointsman.runtime.tasks import STORE_URL

TEXT = f"""
providers: {{openai: env.OPENAI_API_KEY}}
store: {{url: env.STORE}}
{OPEN}
"""


def starter(settings: Settings, folder: Path) -> Starter:
    return Starter(settings, folder / "snapshot", None)


def test_admin_gets_no_provider_keys_and_no_virtual_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MY_VIRTUAL_KEY", "POINTSMAN_ADMIN_TOKEN", "PGSSLMODE"):
        monkeypatch.setenv(name, f"the-value-of-{name}")
    url = "postgresql://me:secret@127.0.0.1/db"
    settings = compiled(TEXT, {"OPENAI_API_KEY": "sk", "STORE": url}).settings
    environ = starter(settings, tmp_path)._admin_environ()
    assert environ.keys() >= {"PATH", "POINTSMAN_ADMIN_TOKEN", "PGSSLMODE"}
    assert not environ.keys() & {"OPENAI_API_KEY", "MY_VIRTUAL_KEY"}
    assert environ[STORE_URL] == url


def test_console_accepts_loopback_names_and_configured_names(tmp_path: Path) -> None:
    settings = compiled(TEXT, {"OPENAI_API_KEY": "sk", "STORE": "postgresql:///db"}).settings

    def hosts(host: str, configured: frozenset[str] = frozenset()) -> list[str]:
        console = replace(settings.console, host=host)
        one = starter(replace(settings, console=console, console_hosts=configured), tmp_path)
        return one._hosts()

    assert hosts("127.0.0.1") == ["127.0.0.1", "::1", "localhost"]
    assert hosts("10.0.0.1") == []
    assert hosts("10.0.0.1", frozenset({"console.test"})) == [
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "console.test",
        "localhost",
    ]
