"""Reloads the configuration on request, or when its file, or a secret it refers to, changes on disk.

The watcher watches folders, since editors and Kubernetes replace files by renaming rather than by writing. Only the
content counts: an event without a change of content has no effect. A slow check without events covers the gaps of
notification, such as network file systems and a link to the folder with a new target.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from watchfiles import Change, awatch

from pointsman.config.compile import Checked, compile_file
from pointsman.config.problems import Problem
from pointsman.config.resource import Resource
from pointsman.config.snapshot_file import Compiled

POLL_S = 5.0
QUIET_MS = 100  # a burst of writes counts as one change once it has been quiet for this long
MAX_QUIET_MS = 500  # and at the latest after this long, if the folder is never quiet


class ConfigWatcher:
    """Watches the file that `current` was compiled from.

    `on_compiled` gets each new valid configuration with its warnings. `on_problems` gets the reasons if one was
    rejected: the old one stays in force. If the old one is then put back on disk, `on_compiled` gets it too, since the
    rejection is over. Both are called on the event loop. `resources` returns those that were made by API.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        current: Compiled,
        on_compiled: Callable[[Compiled, tuple[Problem, ...]], None],
        on_problems: Callable[[tuple[Problem, ...]], None],
        poll_s: float = POLL_S,
        resources: Callable[[], Sequence[Resource]] = tuple,
    ) -> None:
        self._path = path
        self._environ = environ
        self._current = current
        self._on_compiled = on_compiled
        self._on_problems = on_problems
        self._poll_s = poll_s
        self._resources = resources
        self._secret_files = current.secret_files
        self._seen: bytes | None = None
        self._is_rejected = False  # true if the file was rejected at the last check
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            tasks.create_task(self._listen())

    async def _poll(self) -> None:
        """Check the content periodically. No event delays this: a log in the same folder raises many a second."""
        while True:
            await self._reload_if_changed()
            await asyncio.sleep(self._poll_s)

    async def _listen(self) -> None:
        """Check the content when the kernel reports a change."""
        while True:
            folders = self._folders()
            try:
                async for _ in awatch(
                    *folders,
                    watch_filter=self._concerns,
                    debounce=MAX_QUIET_MS,
                    step=QUIET_MS,
                    rust_timeout=int(self._poll_s * 1000),
                    yield_on_timeout=True,
                    recursive=False,
                ):
                    await self._reload_if_changed()
                    if self._folders() != folders:
                        break
            except (OSError, RuntimeError):
                # A folder vanished, or (watchfiles' own error) the system has no watches left.
                await asyncio.sleep(self._poll_s)

    def note(self, compiled: Compiled) -> None:
        """Note that the file is in force with other resources."""
        self._current, self._secret_files = compiled, compiled.secret_files

    async def reload(self) -> None:
        """Read the file again and report the outcome, changed or not."""
        async with self._one_at_a_time:
            self._seen = None
            if (checked := await self._compile_if_changed()) is not None:
                self._report(checked)

    async def _reload_if_changed(self) -> None:
        async with self._one_at_a_time:
            checked = await self._compile_if_changed()
            if checked is not None and (self._is_rejected or not self._is_in_force(checked.compiled)):
                self._report(checked)

    def _is_in_force(self, compiled: Compiled | None) -> bool:
        current = self._current
        return compiled is not None and (compiled.snapshot.digest, compiled.settings) == (
            current.snapshot.digest,
            current.settings,
        )

    async def _compile_if_changed(self) -> Checked | None:
        """Compile the content on disk, and again if it names other secret files. Return `None` if there is no
        change."""
        checked = None
        while (seen := await asyncio.to_thread(self._fingerprint)) != self._seen:
            self._seen = seen
            checked = await asyncio.to_thread(compile_file, self._path, self._environ, self._resources())
            # A file with errors still tells which secrets it names; an unreadable one does not.
            if checked.compiled is not None or checked.secret_files:
                self._secret_files = checked.secret_files
        return checked

    def _report(self, checked: Checked) -> None:
        self._is_rejected = checked.compiled is None
        if checked.compiled is None:
            self._on_problems(checked.problems)
        else:
            self._current = checked.compiled
            self._on_compiled(checked.compiled, checked.problems)

    def _files(self) -> list[Path]:
        return [self._path, *sorted(self._secret_files)]

    def _folders(self) -> set[Path]:
        """Return the folders of the files and of their link targets."""
        folders = {file.absolute().parent for file in self._files()}
        folders |= {file.resolve().parent for file in self._files()}
        return {folder for folder in folders if folder.is_dir()}

    def _concerns(self, _: Change, changed: str) -> bool:
        """Return whether an event may be about one of the files: by name, or by the links Kubernetes swaps
        (`..data`)."""
        name = Path(changed).name
        return name.startswith("..") or any(name in (file.name, file.resolve().name) for file in self._files())

    def _fingerprint(self) -> bytes:
        digest = sha256()
        for file in self._files():
            try:
                content = file.read_bytes()
            except OSError as error:
                digest.update(f"{file}: {error.errno}\0".encode())
            else:
                digest.update(f"{file}: {sha256(content).hexdigest()}\0".encode())
        return digest.digest()
