"""A worker as a process: what it says at the start, on a reload and at the end."""

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


def test_a_good_file_compiles_in_silence(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled = start_or_exit(file, ENVIRON)
    assert list(compiled.snapshot.models) == ["chat"]
    assert capsys.readouterr() == ("", "")


def test_problems_are_told_with_their_line_and_warnings_stop_nobody(
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
def test_errors_are_told_and_end_the_process(
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


def test_without_a_file_a_key_is_made_shown_once_and_holds_over_restarts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {**ENVIRON, "POINTSMAN_DATA_DIR": str(tmp_path / "state")}
    compiled = start_or_exit(None, environ)
    out, said = capsys.readouterr()
    assert out == "", "where the request lines go"
    assert f"request models as openai/<model>\ndata folder: {tmp_path / 'state'}\n" in said
    key = said.rpartition(" ")[2].strip()
    assert key.startswith("pm-")
    assert list(compiled.snapshot.virtual_keys) == [sha256(key.encode()).digest()]
    assert compiled.snapshot.require_key
    assert key not in (tmp_path / "state" / "virtual-key").read_text(), "only its digest is kept"

    again = start_or_exit(None, environ)
    said = capsys.readouterr().err
    assert again.snapshot.virtual_keys.keys() == compiled.snapshot.virtual_keys.keys()
    assert f"delete {tmp_path / 'state' / 'virtual-key'} to generate a new one" in said
    assert key not in said

    (tmp_path / "state" / "virtual-key").unlink()
    assert start_or_exit(None, environ).snapshot.virtual_keys.keys() != again.snapshot.virtual_keys.keys()


def test_a_file_that_holds_no_digest_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "virtual-key").write_text("pm-somebody-wrote-the-key-itself")
    with pytest.raises(SystemExit):
        start_or_exit(None, {**ENVIRON, "POINTSMAN_DATA_DIR": str(tmp_path)})
    said = capsys.readouterr().err
    assert "contains no digest of a virtual key; delete the file" in said
    assert "pm-somebody" not in said


@pytest.mark.parametrize("variable", [HANDOVER, REHEARSAL])
def test_a_hand_over_without_a_file_keeps_the_key_that_was_made(
    variable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was shown once, and of another one nobody would know."""
    environ = {**ENVIRON, "POINTSMAN_DATA_DIR": str(tmp_path / "data")}
    made = start_or_exit(None, environ)
    path = made.settings.data_dir / "snapshot"
    write_snapshot(path, made)
    capsys.readouterr()
    again = start_or_exit(None, {**environ, variable: "{}"})
    assert list(again.snapshot.virtual_keys) == list(made.snapshot.virtual_keys)
    assert again.content == made.content
    assert capsys.readouterr() == ("", "")
    path.unlink()
    with pytest.raises(SystemExit):
        start_or_exit(None, {**ENVIRON, variable: "{}"})
    assert "snapshot cannot be read: No such file" in capsys.readouterr().err


def test_without_a_file_and_without_a_provider_there_is_nothing_to_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        start_or_exit(None, {})
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "OPENAI_API_KEY" in err


class Process:
    """`pointsman serve`, and what it says on standard error."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-m", "pointsman", "serve", "--config", str(file)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **ENVIRON})

    def says(self, words: str) -> str:
        """The next line that holds `words`."""
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"{words!r} was not said:\n{''.join(lines)}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """The exit code."""
        return self._process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=PATIENCE_S) as answer:
        return bytes(answer.read())


@pytest.fixture
def start() -> Iterator[Callable[[Path], Process]]:
    """Starts processes that do not outlive the test."""
    processes: list[Process] = []

    def start_one(file: Path) -> Process:
        processes.append(Process(file))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()


def test_a_log_that_is_rotated_away_is_continued_at_a_hangup(file: Path, start: Callable[[Path], Process]) -> None:
    log = file.parent / "requests.log"
    file.write_text(GOOD + f"logging: {{file: '{log}'}}\n")
    process = start(file)
    address = process.says("listening on").partition("listening on ")[2].partition(",")[0]
    fetch(f"{address}/models")
    log.rename(file.parent / "requests.log.1")
    process.tell(signal.SIGHUP)
    ends_at = monotonic() + PATIENCE_S
    while not (log.exists() and log.read_text()):  # what is asked before the worker has heard goes to the old file
        assert monotonic() < ends_at
        fetch(f"{address}/models")
        sleep(0.05)
    assert json.loads(log.read_text().splitlines()[0])["path"] == "/v1/models"


def test_from_start_to_end(file: Path, start: Callable[[Path], Process]) -> None:
    log = file.parent / "requests.log"
    log.write_text('{"an":"older line"}\n')
    file.write_text(GOOD + f"logging: {{file: '{log}'}}\n")
    process = start(file)

    address = process.says("listening on").partition("listening on ")[2].partition(",")[0]
    process.says("open mode")
    assert b'"chat"' in fetch(f"{address}/models")

    file.write_text(GOOD.replace("chat:", "new:") + "logging: {level: debug}\n")
    process.tell(signal.SIGHUP)
    process.says("restart the gateway to apply the change of logging.file, logging.level")
    process.says("is in force")
    assert b'"new"' in fetch(f"{address}/models")

    file.write_text(GOOD.replace("openai/gpt-4o", "unheard-of/gpt-4o"))
    process.tell(signal.SIGHUP)
    assert f"{file}:4: " in process.says("unheard-of")
    process.says("the old one stays in force")
    assert b'"new"' in fetch(f"{address}/models")

    process.tell(signal.SIGTERM)
    process.says("draining")
    process.says("stopped")
    assert process.end() == 0
    older, *lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert older == {"an": "older line"}
    assert [line["path"] for line in lines] == ["/v1/models"] * 3


def test_a_hand_over_that_could_not_start_is_refused(file: Path, start: Callable[[Path], Process]) -> None:
    """What is installed now tries first, with the file and the arguments as they are now."""
    process = start(file)
    address = process.says("listening on").partition("listening on ")[2].partition(",")[0]
    for content, words in (
        (GOOD.replace("openai/gpt-4o", "unheard-of/gpt-4o"), f"{file}:4: error: models.chat[0]"),
        (GOOD + "data_dir: elsewhere\n", "data_dir"),
        (GOOD + "logging: {file: requests}\n", "requests cannot be written: Is a directory"),
    ):
        (file.parent / "requests").mkdir(exist_ok=True)
        file.write_text(content)
        process.tell(signal.SIGUSR2)
        process.says("cannot hand over; the running version continues")
        process.says(words)
        assert b'"chat"' in fetch(f"{address}/models")
    file.write_text(GOOD.replace("chat:", "new:"))
    process.tell(signal.SIGUSR2)
    process.says("handing over")
    process.says("listening on")
    assert b'"new"' in fetch(f"{address}/models")
    assert not list((file.parent / "data").glob("tmp*"))
    process.tell(signal.SIGTERM)
    assert process.end() == 0


def test_a_log_that_is_made_is_not_for_everybody(file: Path, start: Callable[[Path], Process]) -> None:
    log = file.parent / "requests.log"
    file.write_text(GOOD + f"logging: {{file: '{log}'}}\n")
    process = start(file)
    process.says("listening on")
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0
    process.tell(signal.SIGINT)
    assert process.end() == 0


def test_an_address_that_is_taken_is_said_in_one_line(file: Path, start: Callable[[Path], Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(GOOD.replace('listen: "127.0.0.1:0"', f'listen: "{address}"', 1))
        process = start(file)
        process.says(f"server.listen: {address} is in use by another process")
        assert process.end() == 1


def test_two_gateways_do_not_share_an_address(file: Path, start: Callable[[Path], Process]) -> None:
    """Its workers share it, each with a socket of its own; the kernel would let another gateway do so, too."""
    first = start(file)
    address = first.says("listening on").partition("http://")[2].partition("/")[0]
    second = file.with_name("second.yaml")
    second.write_text(GOOD.replace('listen: "127.0.0.1:0"', f'listen: "{address}"', 1) + "data_dir: second\n")
    process = start(second)
    process.says(f"server.listen: {address} is in use by another process")
    assert process.end() == 1
    first.tell(signal.SIGTERM)
    assert first.end() == 0


def test_a_data_folder_is_for_one_gateway(file: Path, start: Callable[[Path], Process]) -> None:
    first = start(file)
    first.says("listening on")
    second = start(file)
    said = second.says("another gateway")
    assert f"pid {first.pid}" in said
    assert "data_dir" in said
    assert second.end() == 1
    first.tell(signal.SIGTERM)
    assert first.end() == 0
