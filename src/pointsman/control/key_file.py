"""Control's side of the file of keys made by API: it writes rows of the store and compiled policies."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import time

from msgspec.structs import replace

from pointsman.config.key_table import FileKeys
from pointsman.config.live_keys import Extent, LiveKeys, LiveRow, generation_of, open_for_writing
from pointsman.config.live_policies import FieldProblem, PolicyCompiler
from pointsman.config.snapshot_file import Compiled
from pointsman.control.store.tables import Row
from pointsman.domain.identity import VirtualKey

_logger = logging.getLogger(__name__)


class KeyFile:
    """The file in a data folder. Every method raises `KeysUnavailableError`. Its methods run in a thread, one at a
    time."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str], current: Callable[[], Compiled]) -> None:
        self._data_dir = data_dir
        self._environ = environ
        self._current = current
        self._live: LiveKeys | None = None
        self._compiler: PolicyCompiler | None = None
        self._compiled: dict[str, VirtualKey] = {}  # by settings, until they are in the file

    def close(self) -> None:
        """Close the file. Its next use opens it, and makes it anew if it is damaged."""
        if self._live is not None:
            self._live.close()
            self._live = None

    def compile(self, settings: str) -> tuple[VirtualKey, list[FieldProblem]]:
        """Compile a policy under the configuration in force. Return its problems, too."""
        key, problems = self._present().compile(settings)
        if not problems:
            self._compiled[settings] = key
        return key, problems

    def users_of(self, name: str) -> list[str]:
        """Return the places in the configuration in force that name a key."""
        return self._present().users_of(name)

    def write(self, rows: Iterable[Row], gone: Iterable[str]) -> None:
        """Write keys as they are in the store, and remove others. Their policies were compiled."""
        live, found = self._open(), list(rows)
        made = [one for row in found for one in live_rows(row, self._number(live, row["settings"]))]
        live.write(made, [*(row["name"] for row in found), *gone])

    def replace(self, rows: Iterable[Row]) -> None:
        """Write all keys anew."""
        live = self._open()
        numbers: dict[str, int] = {}
        made: list[LiveRow] = []
        for row in rows:
            settings = row["settings"]
            if settings not in numbers:
                numbers[settings] = live.number_of(settings)
            made += live_rows(row, numbers[settings])
        live.write_all(made)
        self.complete()

    def extent(self) -> Extent:
        """Return the extent of the keys in the file."""
        return self._open().extent()

    def complete(self) -> None:
        """Compile the policies that are not compiled for the configuration in force."""
        live, generation = self._open(), generation_of(self._current().snapshot.digest)
        for number, settings in live.settings(without=generation).items():
            key, problems = self.compile(settings)
            if problems:
                told = "; ".join(f"{one.field}: {one.message}" for one in problems)
                names = ", ".join(live.users_of(number))
                _logger.error("keys made by API, such as %s, cannot be used: %s", names, told)
            else:
                live.keep_compiled(generation, {number: key})

    def prepare(self, compiled: Compiled) -> list[str]:
        """Keep the policies that were compiled for another configuration, before it is put in force. Return the
        problems of policies that are new since."""
        live, snapshot = self._open(), compiled.snapshot
        generation = generation_of(snapshot.digest)
        if isinstance(snapshot.virtual_keys, FileKeys):
            live.keep_compiled(generation, snapshot.virtual_keys.policies)
        missing = live.settings(without=generation)
        if not missing:
            return []
        compiler, told = PolicyCompiler(compiled, self._environ), list[str]()
        for number, settings in missing.items():
            key, problems = compiler.compile(settings)
            told += [f"keys made by API, such as {', '.join(live.users_of(number))}: {one}" for one in problems]
            live.keep_compiled(generation, {number: key} if not problems else {})
        return told

    def teams(self) -> dict[str, str]:
        """Return the customer of each team that has keys; empty text for none."""
        live, generation = self._open(), generation_of(self._current().snapshot.digest)
        found = [live.policy(number, generation) for number in live.settings()]
        return {one.team: one.customer or "" for one in found if one.team is not None}

    def tidy(self, digests: Iterable[str]) -> None:
        """Drop the policies of other configurations than those with these digests, and those that no key has."""
        self._open().forget_compiled([generation_of(digest) for digest in digests])

    def _present(self) -> PolicyCompiler:
        current = self._current()
        if self._compiler is None or self._compiler.digest != current.snapshot.digest:
            self._compiler = PolicyCompiler(current, self._environ)
            self._compiled.clear()
        return self._compiler

    def _open(self) -> LiveKeys:
        if self._live is None:
            self._live = open_for_writing(self._data_dir)
        return self._live

    def _number(self, live: LiveKeys, settings: str) -> int:
        """Return the number of a policy, and keep it in the file if it was just compiled."""
        number = live.number_of(settings)
        if settings in self._compiled:
            generation = generation_of(self._current().snapshot.digest)
            live.keep_compiled(generation, {number: self._compiled.pop(settings)})
        return number


def live_rows(row: Row, policy: int) -> list[LiveRow]:
    """Return the values of a key that are valid now, as rows of the file."""
    ends, is_enabled, parent = row["expires_at"], bool(row["is_enabled"]), row["parent"] or None
    current = LiveRow(
        bytes.fromhex(row["digest"]),
        row["name"],
        policy,
        is_enabled=is_enabled,
        expires_at=ends,
        parent=parent,
        changed=row["changed"],
    )
    until = row["previous_until"]
    if not row["previous_digest"] or until is None or until <= time():
        return [current]
    until = min(until, ends) if ends is not None else until
    digest = bytes.fromhex(row["previous_digest"])
    return [current, replace(current, digest=digest, is_current=False, expires_at=until, changed=0)]
