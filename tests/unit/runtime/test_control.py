"""The control process alone: it starts, answers the admin process, and ends with its supervisor."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.children import Child, child
from fakes.configuration import accept
from fakes.control import ENVIRON
from pointsman.control.inquiries.state import ControlState, StateInquiry
from pointsman.link.inquirer import Inquirer
from pointsman.runtime.tasks import ChildTask

CONFIG = """\
server: {listen: "127.0.0.1:0"}
console: {listen: "127.0.0.1:0"}
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {me: env.ME}}
"""


@contextmanager
def control(folder: Path) -> Iterator[Child]:
    snapshot = folder / "snapshot"
    (folder / "data").mkdir()  # as the supervisor does
    accept(snapshot, CONFIG, ENVIRON)
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(str(folder / "link"))
        link.listen()
        task = ChildTask(
            config=None,
            listen_fds=[link.fileno()],
            link=str(folder / "link"),
            ready_fd=-1,
            life_fd=-1,
            data_dir=str(folder),
            snapshot=str(snapshot),
            log_level="error",
            public_is_loopback=True,
        )
        with child("control", task, [link], ENVIRON) as running:
            yield running


def state_in(folder: Path) -> ControlState:
    """Return the state that control reports to the admin process."""

    async def main() -> ControlState:
        inquirer = Inquirer(str(folder / "link"))
        (state,) = await inquirer.ask(StateInquiry(), ControlState)
        inquirer.close()
        return state

    return asyncio.run(main())


def test_control_answers_inquiries_and_ends_at_sigterm(tmp_path: Path) -> None:
    with control(tmp_path) as running:
        assert running.is_ready
        assert state_in(tmp_path).store == "ok"
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == (0, "")


def test_control_ends_with_its_supervisor(tmp_path: Path) -> None:
    with control(tmp_path) as running:
        assert running.is_ready
        running.abandon()
        assert running.wait() == (0, "")


def test_unusable_store_is_reported(tmp_path: Path) -> None:
    (tmp_path / "pointsman.db").mkdir()
    with control(tmp_path) as running:
        assert running.is_ready
        assert state_in(tmp_path).store != "ok"
