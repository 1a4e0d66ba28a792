"""Runs a worker as a process: start-up, signals, reloads, an orderly end."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import uvloop

from pointsman.config.compile import Checked, Compiled, compile_file
from pointsman.config.defaults import Default, compile_default, default_document
from pointsman.config.problems import Problem, Severity
from pointsman.config.settings import Settings, changed_fields
from pointsman.config.watch import ConfigWatcher
from pointsman.domain.snapshots import Snapshot
from pointsman.worker import Worker

_logger = logging.getLogger("pointsman")
_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.NOTE: logging.INFO}


def compile_or_exit(config: Path | None, environ: Mapping[str, str]) -> Compiled:
    """The configuration in the file, or one made from the environment. Leaves the process when there is none."""
    if config is not None:
        checked = compile_file(config, environ)
    else:
        default = default_document(environ)
        if isinstance(default, Problem):
            checked = Checked(None, (default,))
        else:
            checked = compile_default(default, environ)
            _introduce(default)
    for problem in checked.problems:
        line = f"{config}:{problem.line or 1}: " if config is not None else ""
        print(f"{line}{problem.severity.value}: {problem}", file=sys.stderr)  # noqa: T201
    if checked.compiled is None:
        sys.exit(1)
    return checked.compiled


def _introduce(default: Default) -> None:
    """Say what was found and how to use it; not to standard output, where the request lines go."""
    names = list(default.document.providers)
    print(  # noqa: T201
        f"providers found in the environment: {', '.join(names)}; ask for models as {names[0]}/<model>\n"
        f"virtual key, made for this run: {default.virtual_key}",
        file=sys.stderr,
    )


def serve(compiled: Compiled, config: Path | None, environ: Mapping[str, str], welcome: str = "") -> int:
    """Serve until a signal ends it. `welcome` is printed once the gateway listens. Returns the exit code."""
    level = compiled.settings.log_level.upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Service(compiled, config, environ, welcome).run())


class _Service:
    """A worker with what drives it."""

    def __init__(self, compiled: Compiled, config: Path | None, environ: Mapping[str, str], welcome: str = "") -> None:
        self._compiled = compiled
        self._welcome = welcome
        self._config = config
        self._environ = environ
        self._worker: Worker | None = None
        self._stop = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        settings = self._compiled.settings
        try:
            log_fd = _open_log(settings)
        except OSError as error:
            _logger.error("the log %s cannot be written: %s", settings.log_file, error.strerror)  # noqa: TRY400
            return 1
        worker = self._worker = Worker(self._compiled.snapshot, settings, log_fd)
        try:
            await worker.start()
        except OSError as error:
            _logger.error("cannot listen: %s", error.strerror or error)  # noqa: TRY400 -- the trace would not help
            return 1
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        watching = self._watch()
        # Last: whoever waits for this line may send a signal at once, and an unhandled SIGHUP would end the process.
        self._announce(worker, settings, self._compiled.snapshot)
        if self._welcome:
            print(self._welcome, flush=True)  # noqa: T201
        try:
            await self._stop.wait()
        finally:
            if watching is not None:
                watching.cancel()
        _logger.info("draining: requests in progress may finish for up to %g s", settings.drain_s)
        draining = loop.create_task(worker.stop())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.hasten)  # the second signal does not wait
        cut = await draining
        if cut:
            _logger.warning("%d requests were cut off", cut)
        _logger.info("stopped")
        return 0

    def _watch(self) -> "asyncio.Task[None] | None":
        loop = asyncio.get_running_loop()
        if self._config is None:
            loop.add_signal_handler(signal.SIGHUP, _logger.info, "there is no configuration file to read again")
            return None
        watcher = ConfigWatcher(self._config, self._environ, self._compiled, self._on_compiled, self._on_problems)
        reloads: set[asyncio.Task[None]] = set()

        def on_hangup() -> None:
            task = loop.create_task(watcher.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        watching = loop.create_task(watcher.run())
        watching.add_done_callback(_report_end)
        return watching

    def _on_stop(self) -> None:
        self._stop.set()

    def _on_compiled(self, compiled: Compiled, warnings: tuple[Problem, ...]) -> None:
        if not compiled.snapshot.require_key and not self._compiled.settings.listen.is_loopback:
            # The addresses in force are those of the start, whatever the new file says.
            message = "governance.require_key: open mode is allowed on a loopback address only; restart to listen there"
            self._on_problems((Problem("", message),))
            return
        for problem in warnings:
            _logger.log(_LEVELS[problem.severity], "configuration: %s", problem)
        fields = changed_fields(self._compiled.settings, compiled.settings)
        if fields:
            _logger.warning("a change of %s takes effect only at a restart", ", ".join(fields))
        if self._worker is not None:
            self._worker.swap(compiled.snapshot)
        _logger.info("configuration %s is in force", compiled.snapshot.digest[:12])

    def _on_problems(self, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            _logger.log(_LEVELS[problem.severity], "%s:%s: %s", self._config, problem.line or 1, problem)
        _logger.error("the new configuration has errors; the old one stays in force")

    @staticmethod
    def _announce(worker: Worker, settings: Settings, snapshot: Snapshot) -> None:
        scheme = "https" if settings.tls is not None else "http"
        listening = "listening on %s://%s:%d/v1, metrics on http://%s:%d/metrics, configuration %s"
        _logger.info(
            listening,
            scheme,
            settings.listen.host or "0.0.0.0",  # noqa: S104 -- says what an empty host means
            worker.public_port,
            settings.console.host or "0.0.0.0",  # noqa: S104
            worker.console_port,
            snapshot.digest[:12],
        )
        if not snapshot.require_key:
            _logger.warning("open mode: whoever reaches this address may use every provider key")


def _report_end(watching: "asyncio.Task[None]") -> None:
    """Say so when the configuration is no longer watched."""
    if not watching.cancelled() and (error := watching.exception()) is not None:
        _logger.error("the configuration file is no longer watched; SIGHUP still reads it", exc_info=error)


def _open_log(settings: Settings) -> int:
    if settings.log_file is None:
        return 1
    return os.open(settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
