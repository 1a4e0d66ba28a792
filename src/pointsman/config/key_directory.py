"""Very many virtual keys, in an SQLite file: opening it takes the same time for any number of keys.

A row holds the digest of a key, its name and the number of its policy. A policy is the rest of a key's settings; most
keys share a few. It is stored as the virtual key that was compiled from it, without name, digest and shared limits.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path

from msgspec import Struct
from msgspec.structs import astuple, replace

from pointsman.config.frozen import freeze, thaw
from pointsman.domain.identity import VirtualKey

_TABLES = """
    CREATE TABLE policies (number INTEGER PRIMARY KEY, key BLOB NOT NULL);
    CREATE TABLE keys (
        digest BLOB PRIMARY KEY, name TEXT NOT NULL, policy INTEGER NOT NULL, is_current INTEGER NOT NULL
    ) WITHOUT ROWID;
"""
_BY_NAME = "CREATE UNIQUE INDEX by_name ON keys (name) WHERE is_current"


class DirectoryError(ValueError):
    """A directory of keys that is damaged."""


class KeyRow(Struct, frozen=True):
    """One value of a key. A search by name finds a key's current value, not its previous one."""

    digest: bytes
    name: str
    policy: int
    is_current: bool = True


def as_policy(key: VirtualKey) -> VirtualKey:
    """Return the part of a compiled key that keys with the same settings share."""
    own = tuple(limit for limit in key.limits if limit.level == "virtual_key")
    return replace(key, name="", digest=b"", limits=own)


class KeyDirectory:
    """Keys by digest and by name. `digest` identifies the whole directory."""

    def __init__(self, database: sqlite3.Connection, digest: str = "") -> None:
        self._database = database
        self.digest = digest or sha256(self.data).hexdigest()

    @classmethod
    def build(cls, rows: Iterable[KeyRow], policies: Iterable[VirtualKey]) -> "KeyDirectory":
        """Build a directory in memory. Digests are unique, and so are the names of current values."""
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.executescript(_TABLES)
        database.executemany("INSERT INTO policies VALUES (?, ?)", enumerate(freeze(key)[0] for key in policies))
        database.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", sorted(map(astuple, rows)))
        database.execute(_BY_NAME)
        database.commit()
        return cls(database)

    @classmethod
    def open(cls, path: Path, digest: str) -> "KeyDirectory":
        """Open a directory in a file, which may be deleted meanwhile. Raises `OSError` and `DirectoryError`."""
        with path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() != digest:
                raise DirectoryError(f"{path} is damaged")
        place = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        return cls(sqlite3.connect(place, uri=True, check_same_thread=False), digest)

    def __del__(self) -> None:
        self._database.close()

    @property
    def data(self) -> bytes:
        """The content of its file."""
        return self._database.serialize()

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM keys").fetchone()[0])

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the digests of all keys."""
        return (digest for (digest,) in self._database.execute("SELECT digest FROM keys"))

    def find(self, digest: bytes) -> KeyRow | None:
        """Return the key with this digest."""
        found = self._database.execute("SELECT * FROM keys WHERE digest = ?", (digest,)).fetchone()
        return KeyRow(*found) if found is not None else None

    def named(self, name: str) -> KeyRow | None:
        """Return the key with this name."""
        found = self._database.execute("SELECT * FROM keys WHERE name = ? AND is_current", (name,)).fetchone()
        return KeyRow(*found) if found is not None else None

    def names_after(self, name: str) -> Iterator[str]:
        """Iterate over the names of keys after this one, in their order."""
        query = "SELECT name FROM keys WHERE is_current AND name > ? ORDER BY name"
        return (found for (found,) in self._database.execute(query, (name,)))

    def numbers(self) -> list[int]:
        """Return the numbers of all policies."""
        return [number for (number,) in self._database.execute("SELECT number FROM policies")]

    def policies_of(self) -> Iterator[tuple[str, int]]:
        """Iterate over the names of all keys, with the numbers of their policies."""
        return iter(self._database.execute("SELECT name, policy FROM keys WHERE is_current"))

    def policy(self, number: int) -> VirtualKey:
        """Return the policy with this number."""
        (data,) = self._database.execute("SELECT key FROM policies WHERE number = ?", (number,)).fetchone()
        policy: VirtualKey = thaw(data, _nothing)
        return policy


def _nothing(kind: str, name: str) -> object:
    raise KeyError(f"a policy names a {kind}: {name}")
