"""Control's configuration: watches the file, compiles changes and distributes them to the workers."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import time

from msgspec.structs import replace

from pointsman.config.catalog import make_folder
from pointsman.config.compile import Checked, compile_document
from pointsman.config.kept import compile_again, read_or_compile
from pointsman.config.key_table import FileKeys
from pointsman.config.load import Loaded, load
from pointsman.config.problems import Problem, Severity
from pointsman.config.resource import Resource
from pointsman.config.sealing import MasterKeys
from pointsman.config.settings import changed_fields
from pointsman.config.snapshot_file import Compiled, write_snapshot
from pointsman.config.watch import ConfigWatcher
from pointsman.control.events import EventLog
from pointsman.control.export import export_settings
from pointsman.control.inquiries.export import ExportSettings
from pointsman.control.keys import KeyBook

DISTRIBUTE_S = 10.0

_logger = logging.getLogger("pointsman")
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "note": logging.INFO}


OnLoaded = Callable[[Compiled, Compiled], Awaitable[None]]


async def _nothing(_: Compiled, __: Compiled) -> None:
    """Do nothing."""


class KeyConflictError(Exception):
    """Keys made by API contradict a configuration. `problems` are the reasons."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))


class Configuration:
    """The configuration in force. `on_new` is notified of a new snapshot before the workers are. `distribute` sends it
    to them and returns those that have not taken it."""

    def __init__(
        self,
        path: Path,
        config: Path | None,
        on_new: Callable[[Compiled], None],
        distribute: Callable[[float], Awaitable[list[int]]],
        *,
        public_is_loopback: bool,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.path = path
        self.environ = environ
        self.current = read_or_compile(path, environ)
        self._config = config
        self._on_new = on_new
        self._distribute = distribute
        self._public_is_loopback = public_is_loopback
        self._started_with = self.current.settings
        self._tasks: set[asyncio.Task[object]] = set()
        self._outcome: tuple[bool, list[str]] = (True, [])
        self.rejected: list[str] | None = None  # problems of the file on disk, while an older one is in force
        self.taken_at = time()  # Unix seconds when the configuration in force was accepted
        self.reloads = self.rejections = 0
        self._changing = asyncio.Lock()
        self.keys: KeyBook | None = None  # of keys made by API, which each configuration compiles anew
        self._watcher: ConfigWatcher | None = None
        self._document: Loaded | None = None
        self.events = EventLog()
        self.on_loaded: OnLoaded = _nothing  # is notified of another file that is in force, and of the one before
        if config is not None:
            self._watcher = ConfigWatcher(
                config,
                environ,
                self.current,
                self._on_compiled,
                self._on_problems,
                resources=lambda: self.current.resources,
            )

    @property
    def digest(self) -> str:
        return self.current.snapshot.digest

    def export_settings(self) -> list[ExportSettings]:
        """Return the settings of the export to a collector, or nothing without one."""
        return export_settings(self.current)

    async def run(self) -> None:
        """Watch the file, if there is one."""
        with suppress(OSError):
            make_folder(self.current.settings.data_dir)  # so that a first overlay in it is noticed at once
        if self._watcher is not None:
            try:
                await self._watcher.run()
            except Exception:  # without the watcher, the present configuration still serves
                _logger.exception("the configuration file is no longer watched; send SIGHUP to reload it")

    async def reload(self) -> tuple[bool, list[str]]:
        """Read the file again. Return whether it is in force with all workers, and messages for the caller."""
        if self._watcher is None:
            await self._read_again()
            return self._outcome
        await self._watcher.reload()
        while self._tasks:
            await asyncio.gather(*self._tasks)
        return self._outcome

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Keep the configuration from other changes."""
        async with self._changing:
            yield

    def master_keys(self) -> MasterKeys:
        """Return the keys that seal secrets."""
        current = self.current
        return MasterKeys(
            self.environ, current.settings.data_dir, Path(current.master_key) if current.master_key else None
        )

    async def document(self) -> Loaded:
        """Return the accepted document, without resources that were made by API."""
        content = self.current.content
        if self._document is None or self._document.content != content:
            self._document = await asyncio.to_thread(load, content)
        return self._document

    async def compile_with(self, resources: Sequence[Resource]) -> Checked:
        """Compile the accepted document with these resources."""
        current = self.current
        table = current.snapshot.virtual_keys
        directory = table.directory if isinstance(table, FileKeys) else None
        if _owners(resources) != _owners(current.resources):  # the keys of the file have policies by their owners
            directory = None

        def compiled() -> Checked:
            loaded = load(current.content, resources)
            return compile_document(loaded, current.folder, self.environ, directory=directory)

        return await asyncio.to_thread(compiled)

    async def put_in_force(
        self, compiled: Compiled, within_s: float, commit: Callable[[], Awaitable[None]] | None = None
    ) -> list[int]:
        """Write a configuration with other resources for the workers, and distribute it. Return the epochs of workers
        that have not taken it after `within_s`. The caller is `changing` it. `commit` stores the change before it is
        written, unless keys made by API contradict it. Raises `KeyConflictError`, `OSError`, and the errors of
        `commit`."""
        before = self.digest
        async with self._preparing(compiled) as problems:
            if commit is not None:
                if problems:
                    raise KeyConflictError(problems)
                await commit()
            for problem in problems:  # the change is stored already, so they are about keys made since
                _logger.error("%s", problem)
            await asyncio.to_thread(write_snapshot, self.path, compiled)
            self.current = compiled
        if self._watcher is not None:
            self._watcher.note(compiled)
        self._on_new(compiled)
        self.events.publish("configuration", {"digest": self.digest})
        outdated = await self._distribute(within_s)
        _logger.info("configuration %s is in force", self.digest[:12])
        if self.keys is not None and not outdated:
            await self.keys.tidy((before, self.digest))
        return outdated

    async def problems_of_keys(self, compiled: Compiled) -> list[str]:
        """Return the reasons of keys made by API against a configuration."""
        async with self._preparing(compiled) as problems:
            return problems

    @asynccontextmanager
    async def _preparing(self, compiled: Compiled) -> AsyncIterator[list[str]]:
        """Keep keys made by API as they are while this configuration is put in force. Yield the reasons against it."""
        if self.keys is None:
            yield []
            return
        async with self.keys.preparing(compiled) as problems:
            yield problems

    def reject_resources(self, messages: list[str]) -> None:
        """Note that the resources in the store cannot be used with the file."""
        for message in messages:
            _logger.error("resources made by API: %s", message)
        self._reject(messages)

    async def _read_again(self) -> None:
        """Compile again. Without a file the configuration stays the same, but the catalog below it may have changed."""
        async with self._changing:
            compiled = await asyncio.to_thread(compile_again, self.path, self.environ)
            if compiled.snapshot.digest == self.digest:
                self._outcome = (
                    True,
                    ["nothing to reload: there is no configuration file, and the catalog has not changed"],
                )
                _logger.info(self._outcome[1][0])
                return
            await self._put_in_force(compiled, [])

    def _on_compiled(self, compiled: Compiled, warnings: tuple[Problem, ...]) -> None:
        if not compiled.snapshot.require_key and not self._public_is_loopback:
            # The addresses in force are those of the start, even if the new file changes them.
            message = "open mode is allowed on a loopback address only; set it to true, or listen there and restart"
            message = f"governance.require_key: {message}"
            self._on_problems((Problem("", message),))
            return
        for problem in warnings:
            _logger.log(_LEVELS[problem.severity], "configuration: %s", problem)
        fields = changed_fields(self._started_with, compiled.settings)
        if fields:
            _logger.warning("restart the gateway to apply the change of %s", ", ".join(fields))
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(self._take(compiled, warnings))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, compiled: Compiled, warnings: tuple[Problem, ...]) -> None:
        async with self._changing:
            if compiled.resources != self.current.resources:  # they were changed while the file was compiled
                again = replace(compiled, resources=self.current.resources)
                loaded = await asyncio.to_thread(load, again.content, again.resources)
                checked = await asyncio.to_thread(compile_document, loaded, again.folder, self.environ)
                if checked.compiled is None:
                    self._on_problems(checked.problems)
                    return
                compiled = checked.compiled
                if self._watcher is not None:
                    self._watcher.note(compiled)
            await self._put_in_force(compiled, _of("warning", warnings))

    async def _put_in_force(self, compiled: Compiled, messages: list[str]) -> None:
        """Write the snapshot file and distribute it to all workers."""
        before, replaced = self.digest, self.current
        async with self._preparing(compiled) as problems:
            is_accepted = await self._accept(compiled, problems)
        if not is_accepted:
            return
        await self.on_loaded(replaced, compiled)
        outdated = await self._distribute(DISTRIBUTE_S)
        if outdated:
            _logger.error(
                "configuration %s: %d worker(s) have not loaded it; their log lines say why",
                self.digest[:12],
                len(outdated),
            )
            self._outcome = (False, [*messages, f"{len(outdated)} worker(s) have not loaded it; the log says why"])
        else:
            _logger.info("configuration %s is in force", self.digest[:12])
            self._outcome = (True, messages)
            if self.keys is not None:
                await self.keys.tidy((before, self.digest))

    async def _accept(self, compiled: Compiled, problems: list[str]) -> bool:
        """Write the snapshot file, so that the configuration is the present one. Return whether that succeeded.
        `problems` are reasons against it."""
        if problems:
            _logger.error("the new configuration cannot be used: %s", "; ".join(problems))
            self._reject(problems)
            return False
        try:
            await asyncio.to_thread(write_snapshot, self.path, compiled)
        except OSError as error:
            _logger.error("cannot write the new configuration to %s: %s", self.path, error)  # noqa: TRY400
            self._reject([f"cannot write {self.path}: {error.strerror}"])
            return False
        self.current = compiled
        self.rejected, self.taken_at = None, time()
        self.reloads += 1
        self._on_new(compiled)
        self.events.publish("configuration", {"digest": self.digest})
        return True

    def _on_problems(self, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            line = "" if problem.resource and problem.line is None else f"{self._config}:{problem.line or 1}: "
            _logger.log(_LEVELS[problem.severity], "%s%s", line, problem)
        _logger.error("the new configuration has errors; the old one stays in force")
        self._reject(_of("error", problems))

    def _reject(self, messages: list[str]) -> None:
        self.rejected = messages
        self.rejections += 1
        self.events.publish("configuration_rejected", {"messages": messages})
        self._outcome = (False, messages)


def _owners(resources: Sequence[Resource]) -> list[Resource]:
    return [one for one in resources if one.kind in ("customer", "team", "access_template", "default")]


def _of(severity: Severity, problems: tuple[Problem, ...]) -> list[str]:
    """Return the messages of this severity for the caller. The log has all of them."""
    return [str(problem) for problem in problems if problem.severity is severity]
