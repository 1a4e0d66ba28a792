"""Virtual keys that were made by API, in an SQLite file which control changes in place and workers read.

The store owns these keys, and the file is a copy for workers: one that starts without control finds every key in it,
and no revoked one. SQLite's log lets workers read while control writes. A change is on the disk when `write` returns.

A key has a policy: its settings as JSON, without its name, values and expiry. Many keys share a policy. It is compiled
for each configuration, whose digest is its `generation`, so that a worker with another configuration finds its own.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from msgspec import Struct
from msgspec.structs import astuple

from pointsman import __version__
from pointsman.config.frozen import FrozenError, freeze, thaw
from pointsman.domain.identity import KeysUnavailableError, VirtualKey

FILE = "api-keys.db"  # in the data folder
FORMAT = 1
REVOKED_S = 30 * 86_400.0  # how long a removed key is known as such
PATIENCE_S = 1.0  # for a lock, which SQLite needs only to recover after a crash
SUM = 1_000_003  # `Extent` adds remainders, so that no sum is too large for a database

_TABLES = f"""
    CREATE TABLE IF NOT EXISTS policies (number INTEGER PRIMARY KEY AUTOINCREMENT, settings TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS compiled (
        generation TEXT NOT NULL, policy INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (generation, policy)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS keys (
        digest BLOB PRIMARY KEY, name TEXT NOT NULL, policy INTEGER NOT NULL, is_current INTEGER NOT NULL,
        is_enabled INTEGER NOT NULL, expires_at REAL, parent TEXT, changed INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS revoked (digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS by_name ON keys (name) WHERE is_current;
    CREATE INDEX IF NOT EXISTS by_parent ON keys (parent) WHERE parent IS NOT NULL;
    PRAGMA user_version = {FORMAT};
"""


class LiveRow(Struct, frozen=True):
    """One value of a key. A search by name finds a key's current value, not its previous one. `expires_at` is in Unix
    seconds, and `changed` the number of the last change of the key in the store."""

    digest: bytes
    name: str
    policy: int
    is_current: bool = True
    is_enabled: bool = True
    expires_at: float | None = None
    parent: str | None = None
    changed: int = 0


class Extent(Struct, frozen=True):
    """The number of keys, and a sum over the numbers of their last changes. Two copies with the same are equal."""

    count: int
    total: int

    @classmethod
    def of(cls, changes: Iterable[int]) -> "Extent":
        """Return the extent of keys by the numbers of their last changes."""
        numbers = [number % SUM for number in changes]
        return cls(len(numbers), sum(numbers))


class LiveKeys:
    """The keys in a file. Every method raises `KeysUnavailableError` if the file cannot be read."""

    def __init__(self, path: Path, *, can_write: bool = False) -> None:
        self._path = path
        self._can_write = can_write
        self._database: sqlite3.Connection | None = None
        self._seen = (0, 0)  # the number of the file, and that of its last change

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def has_changed(self) -> bool:
        """True if another process has changed the file, or replaced it, since this was last read."""
        with self._reading():
            if self._path.stat().st_ino != self._seen[0]:
                self._connect()
                return True
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            before, self._seen = self._seen, (self._seen[0], version)
            return bool(version != before[1])

    def find(self, digest: bytes) -> LiveRow | None:
        """Return the key with this digest, enabled or not."""
        return self._row("digest = ?", digest)

    def named(self, name: str) -> LiveRow | None:
        """Return the key with this name, enabled or not."""
        return self._row("name = ? AND is_current", name)

    def is_revoked(self, digest: bytes) -> bool:
        """Return whether a key with this digest was here, and was removed or disabled."""
        query = "SELECT 1 FROM revoked WHERE digest = ? UNION SELECT 1 FROM keys WHERE digest = ? AND NOT is_enabled"
        with self._reading():
            return self._connection.execute(query, (digest, digest)).fetchone() is not None

    def digests(self) -> list[bytes]:
        """Return the digests of all values. An open cursor would hide later changes from this connection."""
        with self._reading():
            return [digest for (digest,) in self._connection.execute("SELECT digest FROM keys").fetchall()]

    def names(self) -> frozenset[str]:
        """Return the names of all keys."""
        with self._reading():
            return frozenset(name for (name,) in self._connection.execute("SELECT name FROM keys WHERE is_current"))

    def __len__(self) -> int:
        with self._reading():
            return int(self._connection.execute("SELECT count(*) FROM keys").fetchone()[0])

    def __bool__(self) -> bool:
        with self._reading():
            return self._connection.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None

    def policy(self, number: int, generation: str) -> VirtualKey:
        """Return a policy as it was compiled for this configuration, else for another one."""
        query = "SELECT key FROM compiled WHERE policy = ? ORDER BY generation = ? DESC"
        with self._reading():
            rows = self._connection.execute(query, (number, generation)).fetchall()
        for (data,) in rows:
            with suppress(FrozenError):  # of another version
                policy: VirtualKey = thaw(data, _nothing)
                return policy
        raise KeysUnavailableError(f"{self._path}: the policy {number} is not compiled yet")

    def settings(self, *, without: str | None = None) -> dict[int, str]:
        """Return the settings of all policies in use by their numbers, or of those not compiled for a generation."""
        query = "SELECT number, settings FROM policies WHERE number IN (SELECT policy FROM keys)"
        parameters: Sequence[str] = ()
        if without is not None:
            query += " AND number NOT IN (SELECT policy FROM compiled WHERE generation = ?)"
            parameters = (without,)
        with self._reading():
            return dict(self._connection.execute(query, parameters))

    def users_of(self, policy: int, most: int = 3) -> list[str]:
        """Return the names of some keys with this policy."""
        query = "SELECT name FROM keys WHERE policy = ? AND is_current LIMIT ?"
        with self._reading():
            return [name for (name,) in self._connection.execute(query, (policy, most))]

    def extent(self) -> Extent:
        """Return what tells this copy of the keys from others."""
        query = f"SELECT count(*), coalesce(sum(changed % {SUM}), 0) FROM keys WHERE is_current"  # noqa: S608
        with self._reading():
            return Extent(*self._connection.execute(query).fetchone())

    # Only for control, and for a start before it.

    def number_of(self, settings: str) -> int:
        """Return the number of a policy, and make it if there is none."""
        with self._reading(), self._connection as database:
            found = database.execute("SELECT number FROM policies WHERE settings = ?", (settings,)).fetchone()
            if found is None:
                query = "INSERT INTO policies (settings) VALUES (?) RETURNING number"
                found = database.execute(query, (settings,)).fetchone()
            return int(found[0])

    def keep_compiled(self, generation: str, policies: Mapping[int, VirtualKey]) -> None:
        """Keep policies as they were compiled for a configuration."""
        rows = [(generation, number, freeze(key)[0]) for number, key in policies.items()]
        with self._reading(), self._connection as database:
            database.executemany("INSERT OR REPLACE INTO compiled VALUES (?, ?, ?)", rows)

    def forget_compiled(self, without: Collection[str]) -> None:
        """Drop the policies that were compiled for other configurations, and those that no key has."""
        kept = json.dumps(list(without))
        with self._reading(), self._connection as database:
            database.execute("DELETE FROM compiled WHERE generation NOT IN (SELECT value FROM json_each(?))", (kept,))
            database.execute("DELETE FROM policies WHERE number NOT IN (SELECT policy FROM keys)")
            database.execute("DELETE FROM revoked WHERE at < ?", (time() - REVOKED_S,))
            database.execute("DELETE FROM compiled WHERE policy NOT IN (SELECT number FROM policies)")

    def write(self, rows: Iterable[LiveRow], names: Iterable[str] = ()) -> None:
        """Replace all values of the keys with these names by the rows, in one step."""
        with self._reading(), self._connection as database:
            at = time()
            for name in names:
                database.execute("INSERT OR REPLACE INTO revoked SELECT digest, ? FROM keys WHERE name = ?", (at, name))
                database.execute("DELETE FROM keys WHERE name = ?", (name,))
            for row in map(astuple, rows):
                database.execute(_INSERT, row)
                database.execute("DELETE FROM revoked WHERE digest = ?", row[:1])

    def write_all(self, rows: Iterable[LiveRow]) -> None:
        """Replace all keys by these, in one step."""
        with self._reading(), self._connection as database:
            database.execute("INSERT OR REPLACE INTO revoked SELECT digest, ? FROM keys", (time(),))
            database.execute("DELETE FROM keys")
            database.executemany(_INSERT, sorted(map(astuple, rows)))
            database.execute("DELETE FROM revoked WHERE digest IN (SELECT digest FROM keys)")

    def _row(self, condition: str, value: object) -> LiveRow | None:
        with self._reading():
            found = self._connection.execute(f"SELECT * FROM keys WHERE {condition}", (value,)).fetchone()  # noqa: S608
        if found is None:
            return None
        fields = dict(zip(LiveRow.__struct_fields__, found, strict=True))
        return LiveRow(**{**fields, "is_current": bool(fields["is_current"]), "is_enabled": bool(fields["is_enabled"])})

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Convert errors. After one, the file is opened anew: it may have been replaced."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise KeysUnavailableError(f"{self._path} cannot be used: {error}") from error

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._connect()
        assert self._database is not None
        return self._database

    def _connect(self) -> None:
        self.close()
        mode = "rwc" if self._can_write else "rw"  # a reader also needs the log, which it may have to recover
        place = f"{self._path.absolute().as_uri()}?mode={mode}"
        self._database = database = sqlite3.connect(place, uri=True, check_same_thread=False, timeout=PATIENCE_S)
        if self._can_write:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(_TABLES)
        else:
            database.execute("PRAGMA query_only=ON")
        (version,) = database.execute("PRAGMA data_version").fetchone()
        self._seen = (self._path.stat().st_ino, version)


_INSERT = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def generation_of(digest: str) -> str:
    """Return the generation of a configuration by its digest. Each version compiles its own."""
    return f"{__version__}/{digest}"


def open_live(data_dir: Path) -> LiveKeys | None:
    """Open the file of a data folder for reading, if there is one. Raises `KeysUnavailableError`."""
    path = data_dir / FILE
    return LiveKeys(path) if path.exists() else None


def open_for_writing(data_dir: Path) -> LiveKeys:
    """Open the file of a data folder for changes. A missing or damaged one is made anew, without keys: control fills it
    from the store. Raises `KeysUnavailableError`."""
    path = data_dir / FILE
    try:
        live = LiveKeys(path, can_write=True)
        live.extent()
    except KeysUnavailableError as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError) or isinstance(
            error.__cause__, sqlite3.OperationalError
        ):
            raise
    else:
        return live
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (data_dir / name).unlink(missing_ok=True)
    return LiveKeys(path, can_write=True)


def _nothing(kind: str, name: str) -> object:
    raise KeyError(f"a policy names a {kind}: {name}")
