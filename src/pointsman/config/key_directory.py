"""Very many virtual keys, in an SQLite file: opening it takes the same time for any number of keys.

A row holds the digest of a key, its name and the number of its policy. A policy is the rest of a key's settings; most
keys share a few. It is stored as the virtual key that was compiled from it, without name, digest and shared limits.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path

from msgspec import Struct
from msgspec.structs import astuple, replace

from pointsman.config.frozen import freeze, thaw
from pointsman.domain.identity import KeyTable, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.requirements import OWN

MAX_HELD = 20_000  # recently used keys, and policies

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

    def policy(self, number: int) -> VirtualKey:
        """Return the policy with this number."""
        (data,) = self._database.execute("SELECT key FROM policies WHERE number = ?", (number,)).fetchone()
        policy: VirtualKey = thaw(data, _nothing)
        return policy


def _nothing(kind: str, name: str) -> object:
    raise KeyError(f"a policy names a {kind}: {name}")


class FileKeys(KeyTable):
    """The keys of the configuration file, `own`, and those of a directory, which are made on use. `shared` are the
    limits of teams and customers."""

    def __init__(self, own: Mapping[bytes, VirtualKey], directory: KeyDirectory, shared: Iterable[Limit]) -> None:
        self.directory = directory
        self.own = own
        self._made: dict[bytes, VirtualKey] = {}
        self._policies: dict[int, VirtualKey] = {}
        self._shared: dict[str, list[Limit]] = {}
        for limit in shared:
            self._shared.setdefault(limit.owner, []).append(limit)
        self._own_names = {key.name: key for key in own.values()}

    def get(self, digest: bytes, default: VirtualKey | None = None) -> VirtualKey | None:  # type: ignore[override]
        """Return the key with this digest."""
        found = self.own.get(digest) or self._made.get(digest)
        if found is None:
            row = self.directory.find(digest)
            if row is None:
                return default
            found = self._make(row)
            if len(self._made) >= MAX_HELD:
                self._made.pop(next(iter(self._made)), None)
            self._made[digest] = found
        return found

    def named(self, name: str) -> VirtualKey | None:
        if name in self._own_names:
            return self._own_names[name]
        row = self.directory.named(name)
        return self.get(row.digest) if row is not None else None

    def limit(self, counter: str) -> Limit | None:
        """Return a limit of a key, or of its use of one provider, by the name of its counter."""
        level, _, owner = counter.partition("|")[0].partition(":")
        key = self.named(owner.partition("/")[0]) if level in ("virtual_key", "entry") else None
        if key is None:
            return None
        limits = chain(key.limits, *(entry.limits for entry in key.entries.values()))
        return next((limit for limit in limits if limit.counter == counter), None)

    def __getitem__(self, digest: bytes) -> VirtualKey:
        found = self.get(digest)
        if found is None:
            raise KeyError(digest.hex())
        return found

    def __iter__(self) -> Iterator[bytes]:
        yield from self.own
        yield from self.directory

    def __len__(self) -> int:
        return len(self.own) + len(self.directory)

    def _make(self, row: KeyRow) -> VirtualKey:
        policy = self._policies.get(row.policy)
        if policy is None:
            if len(self._policies) >= MAX_HELD:
                self._policies.pop(next(iter(self._policies)), None)
            policy = self._policies[row.policy] = self.directory.policy(row.policy)
        shared = (*self._shared.get(f"team:{policy.team}", ()), *self._shared.get(f"customer:{policy.customer}", ()))
        entries = {
            name: replace(entry, limits=_owned(entry.limits, f"entry:{row.name}/{name}"))
            for name, entry in policy.entries.items()
        }
        limits = (*_owned(policy.limits, f"virtual_key:{row.name}"), *shared)
        require = tuple(
            [replace(one, origin=f"{OWN}{row.name}") if one.origin.startswith(OWN) else one for one in policy.require]
        )
        return replace(policy, name=row.name, digest=row.digest, entries=entries, limits=limits, require=require)


def _owned(limits: Iterable[Limit], owner: str) -> tuple[Limit, ...]:
    return tuple(replace(limit, owner=owner) for limit in limits)
