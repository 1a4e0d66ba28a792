"""A supervisor in its own process, whose workers and control are stand-ins.

Stand-ins append their events to the file `started`, and a worker answers every connection with its pid. Files in the
folder control the stand-ins:

- `broken`: workers end before they are ready.
- `slow`, `slow-workers`: no process, or no worker, is ready until the file is deleted.
- `refusing`: a supervisor rejects a handover.
- `hanging`, a named pipe: a supervisor waits until the pipe is written to, before it decides on a handover.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pointsman
from fakes.clock import PATIENCE_S

_STAND_IN = """
import json, os, select, signal, socket, sys, threading, time
kind, task = sys.argv[1], json.loads(sys.argv[2])
folder = os.path.abspath(__file__).partition("/stand-ins/")[0]
slot = task["slot"] if kind == "worker" else "-" if kind == "control" else kind
def record(event):
    with open(os.path.join(folder, "started"), "a") as file:
        file.write(f"{event} {slot} {os.getpid()}\\n")
if kind == "worker" and os.path.exists(os.path.join(folder, "broken")):
    record(kind)
    sys.exit(3)
slow = [os.path.join(folder, name) for name in ("slow", "slow-workers")[: 2 if kind == "worker" else 1]]
if any(map(os.path.exists, slow)):
    record("starting")
    while any(map(os.path.exists, slow)):
        time.sleep(0.01)
signal.signal(signal.SIGHUP, lambda *_: record("hangup"))
woken, wakes = os.pipe()  # without it, a signal just before `select` would not be handled until `select` returns
os.set_blocking(wakes, False)
signal.set_wakeup_fd(wakes)
busy = threading.Lock()
def end(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with busy:
        record("ended")
        os._exit(0)
signal.signal(signal.SIGTERM, end)
record(kind)
def serve(listener):
    listener.setblocking(False)
    listener.listen()
    while True:
        select.select([listener], [], [])
        with busy:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                continue
            client.sendall(str(os.getpid()).encode())
            client.close()
for fd in task["listen_fds"] if kind == "worker" else ():
    threading.Thread(target=serve, args=(socket.socket(fileno=fd),), daemon=True).start()
os.write(task["ready_fd"], b"1")
os.close(task["ready_fd"])
while task["life_fd"] not in select.select([task["life_fd"], woken], [], [])[0]:
    os.read(woken, 100)
end()
"""

_SUPERVISE = '''
import logging, os, sys
from pathlib import Path
from fakes.configuration import compiled
from pointsman.runtime.supervisor import REHEARSAL, Supervisor
folder, workers = Path(sys.argv[1]), int(sys.argv[2])
if REHEARSAL in os.environ:
    if (folder / "hanging").exists():
        (folder / "hanging").read_text()
    sys.exit("I refuse" if (folder / "refusing").exists() else 0)
logging.basicConfig(stream=sys.stderr, format="%(message)s", level="INFO")
text = f"""
server: {{listen: 127.0.0.1:0, workers: {workers}, drain_s: 5}}
console: {{listen: 127.0.0.1:0}}
data_dir: {folder / "data"}
providers: {{openai: env.OPENAI_API_KEY}}
governance: {{require_key: false}}
"""
found = compiled(text)
command = [sys.executable, *sys.argv]
sys.exit(Supervisor(found.settings, found.snapshot, folder / "snapshot", None, command).run())
'''


class Supervised:
    """A running supervisor with its log, and the events of its stand-ins."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def events(self) -> list[tuple[str, str, int]]:
        """The events that the stand-ins recorded: name, slot and pid."""
        path = self.folder / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(event, slot, int(pid)) for event, slot, pid in map(str.split, lines)]

    def started(self, slot: str) -> list[int]:
        """Return the pids started in a slot; control's slot is `-`, admin's `admin`."""
        return [pid for event, place, pid in self.events if place == slot and event in ("worker", "control", "admin")]

    @property
    def port(self) -> int:
        line = next(line for line in self.log.splitlines() if line.startswith("listening on http://127.0.0.1:"))
        return int(line.split(":")[2].partition("/")[0])

    def ask(self) -> int:
        """Return the pid of the worker that answers. Fail if a connection is refused or reset."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as client:
            return int(client.recv(100))

    def until(self, condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
        ends_at = monotonic() + timeout_s
        while not condition():
            assert monotonic() < ends_at, self.log
            sleep(0.005)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def listening(self) -> bool:
        return "listening on" in self.log


@contextmanager
def supervised(folder: Path, workers: int = 1) -> Iterator[Supervised]:
    """Run a supervisor, and stop it at the end if it is still running."""
    package, source = folder / "stand-ins" / "pointsman", Path(pointsman.__file__).parent
    (package / "runtime").mkdir(parents=True)
    (package / "__init__.py").write_text(f"__path__.append({str(source)!r})\n__version__ = {pointsman.__version__!r}\n")
    (package / "runtime" / "__init__.py").write_text(f"__path__.append({str(source / 'runtime')!r})\n")
    (package / "runtime" / "__main__.py").write_text(_STAND_IN)
    script = folder / "supervise.py"
    script.write_text(_SUPERVISE)
    tests = Path(__file__).parents[1]
    environ = {
        **os.environ,
        "PYTHONPATH": f"{package.parent}:{tests}",
        "OPENAI_API_KEY": "sk",
        "TMPDIR": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(workers)], env=environ, stdout=log, stderr=log
        )
    try:
        yield Supervised(folder, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
