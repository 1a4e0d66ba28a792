"""A gateway as a process: its messages at the start, at a reload, at a handover and at the end."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import pytest

from fakes.clock import PATIENCE_S
from pointsman.config.snapshot_file import write_snapshot
from pointsman.runtime.start import start_or_exit
from pointsman.runtime.supervisor import HANDOVER, REHEARSAL

GOOD = """\
server: {listen: "127.0.0.1:0"}
console: {listen: "127.0.0.1:0"}
providers: {openai: env.OPENAI_API_KEY}
models: {chat: [openai/gpt-4o]}
governance: {require_key: false}
"""
ENVIRON = {"OPENAI_API_KEY": "sk-never-printed"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pointsman.yaml"
    path.write_text(GOOD)
    return path


def test_valid_file_prints_no_problems(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled = start_or_exit(file, ENVIRON)
    assert list(compiled.snapshot.models) == ["chat"]
    assert capsys.readouterr() == ("", "")


def test_warnings_are_printed_with_their_line_and_do_not_stop_the_start(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(GOOD.replace('console: {listen: "127.0.0.1:0"}', 'console: {listen: "0.0.0.0:0"}'))
    assert start_or_exit(file, ENVIRON).snapshot.models
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{file}:2: warning: console.listen: ")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (GOOD.replace("openai/gpt-4o", "unheard-of/gpt-4o"), 4),
        (GOOD + "unheard_of: 1\n", 6),
        (GOOD.replace("env.OPENAI_API_KEY", "env.MISSING"), 3),
        (None, 1),
    ],
    ids=["wrong", "unknown field", "missing secret", "no file"],
)
def test_errors_are_printed_and_end_the_process(
    file: Path, content: str | None, line: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(SystemExit) as caught:
        start_or_exit(file, ENVIRON)
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{file}:{line}: error: ")
    assert "sk-never-printed" not in err


def test_generated_key_is_printed_once_and_survives_restarts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {**ENVIRON, "POINTSMAN_DATA_DIR": str(tmp_path / "state")}
    compiled = start_or_exit(None, environ)
    out, err = capsys.readouterr()
    assert out == "", "the request log goes to standard output"
    assert f"request models as openai/<model>\ndata folder: {tmp_path / 'state'}\n" in err
    key = err.rpartition(" ")[2].strip()
    assert key.startswith("pm-")
    assert list(compiled.snapshot.virtual_keys) == [sha256(key.encode()).digest()]
    assert compiled.snapshot.require_key
    assert key not in (tmp_path / "state" / "virtual-key").read_text(), "only its digest is stored"

    again = start_or_exit(None, environ)
    err = capsys.readouterr().err
    assert again.snapshot.virtual_keys.keys() == compiled.snapshot.virtual_keys.keys()
    assert f"delete {tmp_path / 'state' / 'virtual-key'} to generate a new one" in err
    assert key not in err

    (tmp_path / "state" / "virtual-key").unlink()
    assert start_or_exit(None, environ).snapshot.virtual_keys.keys() != again.snapshot.virtual_keys.keys()


def test_key_file_without_a_digest_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "virtual-key").write_text("pm-somebody-wrote-the-key-itself")
    with pytest.raises(SystemExit):
        start_or_exit(None, {**ENVIRON, "POINTSMAN_DATA_DIR": str(tmp_path)})
    err = capsys.readouterr().err
    assert "contains no digest of a virtual key; delete the file" in err
    assert "pm-somebody" not in err


@pytest.mark.parametrize("variable", [HANDOVER, REHEARSAL])
def test_handover_without_a_file_keeps_the_generated_key(
    variable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was printed once, and nobody would see a new one."""
    environ = {**ENVIRON, "POINTSMAN_DATA_DIR": str(tmp_path / "data")}
    first = start_or_exit(None, environ)
    path = first.settings.data_dir / "snapshot"
    write_snapshot(path, first)
    capsys.readouterr()
    again = start_or_exit(None, {**environ, variable: "{}"})
    assert list(again.snapshot.virtual_keys) == list(first.snapshot.virtual_keys)
    assert again.content == first.content
    assert capsys.readouterr() == ("", "")
    path.unlink()
    with pytest.raises(SystemExit):
        start_or_exit(None, {**ENVIRON, variable: "{}"})
    assert "snapshot cannot be read: No such file" in capsys.readouterr().err


def test_start_without_a_file_and_a_provider_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        start_or_exit(None, {})
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "OPENAI_API_KEY" in err


class Process:
    """A process of `pointsman serve`, and its standard error."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-m", "pointsman", "serve", "--config", str(file)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **ENVIRON})

    def wait_for(self, words: str) -> str:
        """Return the next line that contains `words`."""
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"{words!r} was not logged:\n{''.join(lines)}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end. Return the exit code."""
        return self._process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=PATIENCE_S) as answer:
        return bytes(answer.read())


@pytest.fixture
def start() -> Iterator[Callable[[Path], Process]]:
    """Return a function that starts processes, which end with the test."""
    processes: list[Process] = []

    def start_one(file: Path) -> Process:
        processes.append(Process(file))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()


def test_sighup_reopens_a_rotated_log(file: Path, start: Callable[[Path], Process]) -> None:
    log = file.parent / "requests.log"
    file.write_text(GOOD + f"logging: {{file: '{log}'}}\n")
    process = start(file)
    address = process.wait_for("listening on").partition("listening on ")[2].partition(",")[0]
    fetch(f"{address}/models")
    log.rename(file.parent / "requests.log.1")
    process.signal(signal.SIGHUP)
    ends_at = monotonic() + PATIENCE_S
    while not (log.exists() and log.read_text()):  # requests before the signal arrives are logged to the old file
        assert monotonic() < ends_at
        fetch(f"{address}/models")
        sleep(0.05)
    assert json.loads(log.read_text().splitlines()[0])["path"] == "/v1/models"


def test_gateway_starts_reloads_and_stops(file: Path, start: Callable[[Path], Process]) -> None:
    log = file.parent / "requests.log"
    log.write_text('{"an":"older line"}\n')
    file.write_text(GOOD + f"logging: {{file: '{log}'}}\n")
    process = start(file)

    address = process.wait_for("listening on").partition("listening on ")[2].partition(",")[0]
    process.wait_for("open mode")
    assert b'"chat"' in fetch(f"{address}/models")

    file.write_text(GOOD.replace("chat:", "new:") + "logging: {level: debug}\n")
    process.signal(signal.SIGHUP)
    process.wait_for("restart the gateway to apply the change of logging.file, logging.level")
    process.wait_for("is in force")
    assert b'"new"' in fetch(f"{address}/models")

    file.write_text(GOOD.replace("openai/gpt-4o", "unheard-of/gpt-4o"))
    process.signal(signal.SIGHUP)
    assert f"{file}:4: " in process.wait_for("unheard-of")
    process.wait_for("the old one stays in force")
    assert b'"new"' in fetch(f"{address}/models")

    process.signal(signal.SIGTERM)
    process.wait_for("draining")
    process.wait_for("stopped")
    assert process.wait() == 0
    older, *lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert older == {"an": "older line"}
    assert [line["path"] for line in lines] == ["/v1/models"] * 3


def test_handover_to_an_invalid_configuration_is_rejected(file: Path, start: Callable[[Path], Process]) -> None:
    """The installed version first checks the current file and arguments."""
    process = start(file)
    address = process.wait_for("listening on").partition("listening on ")[2].partition(",")[0]
    for content, words in (
        (GOOD.replace("openai/gpt-4o", "unheard-of/gpt-4o"), f"{file}:4: error: models.chat[0]"),
        (GOOD + "data_dir: elsewhere\n", "data_dir"),
        (GOOD + "logging: {file: requests}\n", "requests cannot be written: Is a directory"),
    ):
        (file.parent / "requests").mkdir(exist_ok=True)
        file.write_text(content)
        process.signal(signal.SIGUSR2)
        process.wait_for("cannot hand over; the running version continues")
        process.wait_for(words)
        assert b'"chat"' in fetch(f"{address}/models")
    file.write_text(GOOD.replace("chat:", "new:"))
    process.signal(signal.SIGUSR2)
    process.wait_for("handing over")
    process.wait_for("listening on")
    assert b'"new"' in fetch(f"{address}/models")
    assert not list((file.parent / "data").glob("tmp*"))
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_new_log_file_is_owner_only(file: Path, start: Callable[[Path], Process]) -> None:
    log = file.parent / "requests.log"
    file.write_text(GOOD + f"logging: {{file: '{log}'}}\n")
    process = start(file)
    process.wait_for("listening on")
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0
    process.signal(signal.SIGINT)
    assert process.wait() == 0


def test_address_in_use_is_logged_in_one_line(file: Path, start: Callable[[Path], Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(GOOD.replace('listen: "127.0.0.1:0"', f'listen: "{address}"', 1))
        process = start(file)
        process.wait_for(f"server.listen: {address} is in use by another process")
        assert process.wait() == 1


def test_two_gateways_cannot_share_an_address(file: Path, start: Callable[[Path], Process]) -> None:
    """The workers of a gateway share its address. The kernel would let another gateway share it, too."""
    first = start(file)
    address = first.wait_for("listening on").partition("http://")[2].partition("/")[0]
    second = file.with_name("second.yaml")
    second.write_text(GOOD.replace('listen: "127.0.0.1:0"', f'listen: "{address}"', 1) + "data_dir: second\n")
    process = start(second)
    process.wait_for(f"server.listen: {address} is in use by another process")
    assert process.wait() == 1
    first.signal(signal.SIGTERM)
    assert first.wait() == 0


def test_data_folder_belongs_to_one_gateway(file: Path, start: Callable[[Path], Process]) -> None:
    first = start(file)
    first.wait_for("listening on")
    second = start(file)
    line = second.wait_for("another gateway")
    assert f"pid {first.pid}" in line
    assert "data_dir" in line
    assert second.wait() == 1
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
