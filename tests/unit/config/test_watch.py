"""A changed configuration is loaded once, and a faulty one is reported while the old one stays in force."""

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
from pointsman.domain.origin import secret_of

ENVIRON = {"OPENAI_API_KEY": "sk-test"}


def text(model: str, key: str = "env.OPENAI_API_KEY") -> str:
    return f"""
providers: {{openai: "{key}"}}
models: {{chat: [openai/{model}]}}
governance: {{require_key: false}}
"""


class Recorder:
    """Runs a watcher and records its reports."""

    def __init__(self, path: Path, poll_s: float = 3.0) -> None:
        compiled = compile_file(path, ENVIRON).compiled
        assert compiled is not None
        self._path = path
        self.reports: asyncio.Queue[str] = asyncio.Queue()
        self.watcher = ConfigWatcher(path, ENVIRON, compiled, self.on_compiled, self.on_rejected, poll_s)

    def on_compiled(self, compiled: Compiled, problems: tuple[Problem, ...]) -> None:
        model = compiled.snapshot.models["chat"].targets[0].model
        key = secret_of(compiled.snapshot.endpoints["openai"].keys[0].credential).reveal()
        self.reports.put_nowait(f"{model} {key}")

    def on_rejected(self, problems: tuple[Problem, ...]) -> None:
        self.reports.put_nowait(f"rejected: {problems[0]}")

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reports.get()

    async def started(self) -> asyncio.Task[None]:
        """Start the watcher and wait until the kernel watches the folder."""
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
    """Write a new file and rename it, as editors do."""
    replacement = path.with_name(path.name + ".new")
    replacement.write_text(content)
    replacement.rename(path)


def test_rewritten_and_renamed_files_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=60)  # so only a notification can cause the reload
        task = await recorder.started()
        path.write_text(text("b"))
        assert await recorder.next() == "b sk-test"
        replace_file(path, text("c"))
        assert await recorder.next() == "c sk-test"
        await stop(task)
        assert recorder.reports.empty()

    run(scenario)


def test_faulty_file_is_reported_once_and_the_next_valid_one_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=0.05)
        task = await recorder.started()
        replace_file(path, text("b").replace("models", "modles"))
        assert await recorder.next() == "rejected: modles: unknown field; did you mean 'models'?"
        replace_file(path, text("c"))
        assert await recorder.next() == "c sk-test"
        path.unlink()
        assert "cannot be read" in await recorder.next()
        replace_file(path, text("d"))
        assert await recorder.next() == "d sk-test"
        await stop(task)
        assert recorder.reports.empty()

    run(scenario)


def test_old_file_restored_after_a_faulty_one_is_reported(tmp_path: Path) -> None:
    """The old file is already in force. The report tells that the file on disk is valid again."""
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=0.05)
        task = await recorder.started()
        replace_file(path, text("b").replace("models", "modles"))
        assert "rejected" in await recorder.next()
        replace_file(path, text("a"))
        assert await recorder.next() == "a sk-test"
        await stop(task)
        assert recorder.reports.empty()

    run(scenario)


def test_secret_file_in_another_folder_is_watched(tmp_path: Path) -> None:
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


def test_swapped_kubernetes_link_is_loaded(tmp_path: Path) -> None:
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
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH105 -- the kubelet's own call
        assert await recorder.next() == "b sk-test"
        await stop(task)

    run(scenario)


def test_swapped_folder_is_found_by_polling(tmp_path: Path) -> None:
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
        assert (await recorder.next()).startswith("rejected: not valid YAML")

    run(scenario)


def test_change_without_effect_is_not_reported(tmp_path: Path) -> None:
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


def test_busy_log_in_the_same_folder_delays_no_reload(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text("a"))

    async def chatter() -> None:
        with (tmp_path / "requests.log").open("a", buffering=1) as log:
            while True:
                log.write("{}\n")
                await asyncio.sleep(0.002)

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=60)  # so only a notification can cause the reload
        task, busy = await recorder.started(), asyncio.create_task(chatter())
        await asyncio.sleep(0.2)
        replace_file(path, text("b"))
        assert await recorder.next() == "b sk-test"
        for one in (task, busy):
            await stop(one)

    run(scenario)


def test_polling_continues_during_a_busy_log(tmp_path: Path) -> None:
    """Polling finds a swap that raises no event in the watched folder."""
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


def test_kubernetes_swap_at_the_start_is_loaded(tmp_path: Path) -> None:
    """The kubelet may swap the link after the file was read and before the kernel watches it."""
    for name in ("a", "b"):
        (tmp_path / f"..{name}").mkdir()
        (tmp_path / f"..{name}" / "pointsman.yaml").write_text(text(name))
    (tmp_path / "..data").symlink_to("..a")
    path = tmp_path / "pointsman.yaml"
    path.symlink_to("..data/pointsman.yaml")

    async def scenario() -> None:
        recorder = Recorder(path, poll_s=0.5)
        task = asyncio.create_task(recorder.watcher.run())
        await asyncio.sleep(0.02)  # the file has been read, and the watch is starting
        (tmp_path / "..data_tmp").symlink_to("..b")
        os.replace(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH105 -- the kubelet's own call
        assert await recorder.next() == "b sk-test"
        await stop(task)

    run(scenario)
