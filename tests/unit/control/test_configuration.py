"""Changes of the configuration: written, distributed, or rejected as a whole."""

from pathlib import Path

import pytest

from fakes import control
from fakes.configuration import accept
from fakes.control import ENVIRON
from integration.gateway import run
from pointsman.config.compile import compile_file
from pointsman.config.snapshot_file import Compiled, read_snapshot
from pointsman.control.configuration import Configuration

BATCHES = "{model: openai/, input_usd_per_million: 0, output_usd_per_million: 0, per_request_usd: 1}"
CONFIG = f"{control.CONFIG}pricing: {{overrides: [{BATCHES}]}}\n"  # nothing to be warned of
OTHER = CONFIG.replace("limit_usd: 5", "limit_usd: 6")


class Fixture:
    def __init__(self, folder: Path, *, has_file: bool = True, public_is_loopback: bool = True) -> None:
        self.file, self.snapshot = folder / "pointsman.yaml", folder / "snapshot"
        self.file.write_text(CONFIG)
        accept(self.snapshot, CONFIG, ENVIRON)
        self.new: list[str] = []
        self.outdated: list[int] = []
        self.distributed: list[str] = []
        self.configuration = Configuration(
            self.snapshot,
            self.file if has_file else None,
            self._on_new,
            self._distribute,
            public_is_loopback=public_is_loopback,
            environ=ENVIRON,
        )

    def _on_new(self, compiled: Compiled) -> None:
        self.new.append(compiled.snapshot.digest)

    async def _distribute(self, within_s: float) -> list[int]:
        self.distributed.append(read_snapshot(self.snapshot, ENVIRON).snapshot.digest)
        return self.outdated

    def reload(self) -> tuple[bool, list[str]]:
        return run(self.configuration.reload())


def test_new_configuration_is_on_disk_before_workers_are_notified(tmp_path: Path) -> None:
    one = Fixture(tmp_path)
    before = one.configuration.digest
    one.file.write_text(OTHER)
    assert one.reload() == (True, [])
    assert one.new == one.distributed == [one.configuration.digest]
    assert one.configuration.digest != before


def test_configuration_with_errors_is_rejected_with_their_lines(tmp_path: Path) -> None:
    one = Fixture(tmp_path)
    before = (one.configuration.digest, one.snapshot.read_bytes())
    one.file.write_text(CONFIG.replace("team: research", "team: reserch"))
    is_taken, messages = one.reload()
    assert not is_taken
    assert any(one.startswith("governance.virtual_keys.me.team: unknown team 'reserch'; did you") for one in messages)
    assert (one.configuration.digest, one.snapshot.read_bytes()) == before
    assert one.new == []


def test_rejection_reports_errors_only(tmp_path: Path) -> None:
    """Notes and warnings are no reasons for a rejection."""
    one = Fixture(tmp_path)
    one.file.write_text(CONFIG.replace("teams: {", "teams: {idle: {}, ") + "modles: {}\n")
    assert {problem.severity for problem in compile_file(one.file, ENVIRON).problems} == {"error", "note"}
    is_taken, messages = one.reload()
    assert not is_taken
    assert len(messages) == 1
    assert one.configuration.rejected == messages


def test_workers_without_the_new_configuration_are_reported(tmp_path: Path) -> None:
    one = Fixture(tmp_path)
    one.file.write_text(OTHER)
    one.outdated = [17]
    assert one.reload() == (False, ["1 worker(s) have not loaded it; the log says why"])


def test_open_mode_is_rejected_on_a_public_address(tmp_path: Path) -> None:
    one = Fixture(tmp_path, public_is_loopback=False)
    one.file.write_text("providers: {openai: env.OPENAI_API_KEY}\ngovernance: {require_key: false}\n")
    is_taken, messages = one.reload()
    assert not is_taken
    assert "open mode is allowed on a loopback address only" in messages[0]
    assert one.new == []


def test_failed_write_leaves_the_old_configuration_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Fixture(tmp_path)
    before = one.configuration.digest

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pointsman.control.configuration.write_snapshot", full)
    one.file.write_text(OTHER)
    is_taken, messages = one.reload()
    assert not is_taken
    assert "No space left on device" in messages[0]
    assert one.configuration.digest == before
    assert one.new == one.distributed == []


def test_change_that_needs_a_restart_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = Fixture(tmp_path)
    one.file.write_text(CONFIG + "server: {workers: 2}\n")
    assert one.reload()[0]
    assert "restart the gateway to apply the change of server.workers" in caplog.text


def test_reload_without_a_file_reports_that_nothing_changed(tmp_path: Path) -> None:
    one = Fixture(tmp_path, has_file=False)
    is_taken, messages = one.reload()
    assert is_taken
    assert messages == ["nothing to reload: there is no configuration file, and the catalog has not changed"]
    assert one.distributed == []
    run(one.configuration.run())
