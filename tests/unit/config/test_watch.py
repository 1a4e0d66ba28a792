"""Reload: what changes on disk is taken up once, what is wrong is refused, and the old configuration stays."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from fakes.clock import PATIENCE_S
from fakes.processes import watched
from pointsman.config.compile import compile_file
from pointsman.config.problems import Problem
from pointsman.config.snapshot_file import Compiled
from pointsman.config.watch import ConfigWatcher

ENVIRON = {"OPENAI_API_KEY": "sk-test"}


def text(model: str, key: str = "env.OPENAI_API_KEY") -> str:
    return f"""
providers: {{openai: "{key}"}}
models: {{chat: [openai/{model}]}}
governance: {{require_key: false}}
"""


class Recorder:
    """Runs a watcher and keeps what it reports."""

    def __init__(self, path: Path, poll_s: float = 3.0) -> None:
        compiled = compile_file(path, ENVIRON).compiled
        assert compiled is not None
        self._path = path
        self.reports: asyncio.Queue[str] = asyncio.Queue()
        self.watcher = ConfigWatcher(path, ENVIRON, compiled, self.taken, self.refused, poll_s)

    def taken(self, compiled: Compiled, problems: tuple[Problem, ...]) -> None:
        model = compiled.snapshot.models["chat"].targets[0].model
        key = compiled.snapshot.endpoints["openai"].keys[0].credential.reveal()
        self.reports.put_nowait(f"{model} {key}")

    def refused(self, problems: tuple[Problem, ...]) -> None:
        self.reports.put_nowait(f"refused: {problems[0]}")

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reports.get()

    async def started(self) -> asyncio.Task[None]:
        """Run the watcher, until the kernel watches for it."""
        task = asyncio.create_task(self.watcher.run())
        await watched(self._path.parent, os.getpid())
        return task


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_as_coroutine(scenario))


async def _as_coroutine(scenario: Callable[[], Awaitable[None]]) -> None:
    await scenario()


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def replace_file(path: Path, content: str) -> None:
    """As editors do: write beside it, then rename."""
    replacement = path.with_name(path.name + ".new")
    replacement.write_text(content)
    replacement.rename(path)


def test_rewritten_and_renamed_files_are_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=60)  # so that only notification can be the cause
        task = await recorder.started()
        path.write_text(text("b"))
        assert await recorder.next() == "b sk-test"
        replace_file(path, text("c"))
        assert await recorder.next() == "c sk-test"
        await stop(task)
        assert recorder.reports.empty()

    run(scenario)


def test_a_faulty_file_is_reported_once_and_the_next_good_one_taken(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=0.05)
        task = await recorder.started()
        replace_file(path, text("b").replace("models", "modles"))
        assert await recorder.next() == "refused: modles: unknown field; did you mean 'models'?"
        replace_file(path, text("c"))
        assert await recorder.next() == "c sk-test"
        path.unlink()
        assert "cannot be read" in await recorder.next()
        replace_file(path, text("d"))
        assert await recorder.next() == "d sk-test"
        await stop(task)
        assert recorder.reports.empty()

    run(scenario)


def test_the_old_file_put_back_after_a_faulty_one_is_told_of(tmp_path: Path) -> None:
    """It is what is in force, and yet it is news: nothing on disk is refused any more."""
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=0.05)
        task = await recorder.started()
        replace_file(path, text("b").replace("models", "modles"))
        assert "refused" in await recorder.next()
        replace_file(path, text("a"))
        assert await recorder.next() == "a sk-test"
        await stop(task)
        assert recorder.reports.empty()

    run(scenario)


def test_a_secret_file_is_watched_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config" / "pointsman.yaml"
    secret = tmp_path / "secrets" / "openai"
    path.parent.mkdir()
    secret.parent.mkdir()
    path.write_text(text("a"))
    secret.write_text("first\n")

    async def scenario() -> None:
        recorder = Recorder(path)
        task = await recorder.started()
        path.write_text(text("a", f"file:{secret}"))
        assert await recorder.next() == "a first"
        await watched(secret.parent, os.getpid())
        replace_file(secret, "second\n")
        assert await recorder.next() == "a second"
        await stop(task)

    run(scenario)


def test_a_swapped_kubernetes_link_is_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"..{name}").mkdir()
        (tmp_path / f"..{name}" / "pointsman.yaml").write_text(text(name))
    (tmp_path / "..data").symlink_to("..a")
    path = tmp_path / "pointsman.yaml"
    path.symlink_to("..data/pointsman.yaml")

    async def scenario() -> None:
        recorder = Recorder(path)
        task = await recorder.started()
        (tmp_path / "..data_tmp").symlink_to("..b")
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH105 -- the very call
        assert await recorder.next() == "b sk-test"
        await stop(task)

    run(scenario)


def test_a_swapped_folder_is_found_by_the_slow_check(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pointsman.yaml").write_text(text(name))
    link = tmp_path / "current"
    link.symlink_to("a")

    async def scenario() -> None:
        recorder = Recorder(link / "pointsman.yaml", poll_s=0.1)
        task = await recorder.started()
        (tmp_path / "next").symlink_to("b")
        (tmp_path / "next").replace(link)
        assert await recorder.next() == "b sk-test"
        await stop(task)

    run(scenario)


def test_reload_reports_even_an_unchanged_file(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path)
        await recorder.watcher.reload()
        assert await recorder.next() == "a sk-test"
        path.write_text("[")
        await recorder.watcher.reload()
        assert (await recorder.next()).startswith("refused: not valid YAML")

    run(scenario)


def test_a_change_without_effect_is_not_reported(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path)
        task = await recorder.started()
        path.write_text(text("a") + "# a remark\n")
        await asyncio.sleep(0.5)
        path.write_text(text("b"))
        assert await recorder.next() == "b sk-test"
        await stop(task)

    run(scenario)


def test_a_busy_log_in_the_same_folder_delays_no_reload(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def chatter() -> None:
        with (tmp_path / "requests.log").open("a", buffering=1) as log:
            while True:
                log.write("{}\n")
                await asyncio.sleep(0.002)

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=60)  # so that only notification can be the cause
        task, busy = await recorder.started(), asyncio.create_task(chatter())
        await asyncio.sleep(0.2)
        replace_file(path, text("b"))
        assert await recorder.next() == "b sk-test"
        for one in (task, busy):
            await stop(one)

    run(scenario)


def test_the_slow_check_goes_on_beside_a_busy_log(tmp_path: Path) -> None:
    """A swap that raises no event in the folder that is watched is found all the same."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pointsman.yaml").write_text(text(name))
    link = tmp_path / "current"
    link.symlink_to("a")

    async def chatter() -> None:
        while True:
            (tmp_path / "a" / "pointsman.yaml.log").write_text("{}\n")
            await asyncio.sleep(0.002)

    async def scenario() -> None:
        recorder = Recorder(link / "pointsman.yaml", poll_s=0.3)
        task, busy = await recorder.started(), asyncio.create_task(chatter())
        (tmp_path / "next").symlink_to("b")
        (tmp_path / "next").replace(link)
        assert await recorder.next() == "b sk-test"
        for one in (task, busy):
            await stop(one)

    run(scenario)


def test_a_kubernetes_swap_right_at_the_start_is_seen(tmp_path: Path) -> None:
    """The kubelet may swap the link between the moment the file was read and the moment the kernel watches it."""
    for name in ("a", "b"):
        (tmp_path / f"..{name}").mkdir()
        (tmp_path / f"..{name}" / "pointsman.yaml").write_text(text(name))
    (tmp_path / "..data").symlink_to("..a")
    path = tmp_path / "pointsman.yaml"
    path.symlink_to("..data/pointsman.yaml")

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=0.5)
        task = asyncio.create_task(recorder.watcher.run())
        await asyncio.sleep(0.02)  # it has read the file, and the watch is on its way
        (tmp_path / "..data_tmp").symlink_to("..b")
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH105 -- the very call
        assert await recorder.next() == "b sk-test"
        await stop(task)

    run(scenario)
