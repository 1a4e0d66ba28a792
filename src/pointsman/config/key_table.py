"""The table of virtual keys: those of the configuration file, of its file of further keys, and those made by API."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.key_directory import KeyDirectory
from pointsman.config.live_keys import LiveKeys, LiveRow, generation_of
from pointsman.domain.callers import MARK, CallerIdentity
from pointsman.domain.identity import KeysUnavailableError, KeyTable, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.requirements import OWN

MAX_HELD = 20_000  # recently used keys, and policies


class _KeyName(Struct, frozen=True):
    """The part of a key that is not its policy."""

    name: str
    digest: bytes


class FileKeys(KeyTable):
    """The keys of the configuration file, `own`, and those of two files, which are made on use: `directory`, and `live`
    with the keys made by API. `shared` are the limits of teams and customers. `policies` are those of live keys, by
    number, if the file has not got them for this configuration. Callers of `identities` are found by name only."""

    def __init__(
        self,
        own: Mapping[bytes, VirtualKey],
        directory: KeyDirectory | None,
        shared: Iterable[Limit],
        live: LiveKeys | None = None,
        policies: Mapping[int, VirtualKey] | None = None,
        *,
        identities: Iterable[CallerIdentity] = (),
    ) -> None:
        self.directory = directory
        self.live = live
        self.own = own
        self.policies = policies or {}
        self.generation = ""
        self._made: dict[bytes, VirtualKey] = {}
        self._policies: dict[tuple[bool, int], VirtualKey] = {}
        self._shared: dict[str, list[Limit]] = {}
        for limit in shared:
            self._shared.setdefault(limit.owner, []).append(limit)
        self._own_names = {key.name: key for key in own.values()}
        self._identities = {one.name: one for one in identities}

    def at(self, digest: str) -> "FileKeys":
        """Return this table, as that of the configuration with this digest."""
        self.generation = generation_of(digest)
        return self

    def get(self, digest: bytes, default: VirtualKey | None = None) -> VirtualKey | None:  # type: ignore[override]
        """Return the key with this digest."""
        found = self.own.get(digest) or self._made.get(digest)
        if found is None:
            found = self._find(digest)
            if found is None:
                return default
            if len(self._made) >= MAX_HELD:
                self._made.pop(next(iter(self._made)), None)
            self._made[digest] = found
        return found

    def named(self, name: str) -> VirtualKey | None:
        if name in self._own_names:
            return self._own_names[name]
        identity = self._identities.get(name.partition(MARK)[0])
        if identity is not None:
            return identity.named(name) if MARK in name else identity.key
        row = self.directory.named(name) if self.directory is not None else None
        if row is not None:
            return self.get(row.digest)
        made = self.live.named(name) if self.live is not None else None
        return self._make_live(made) if made is not None else None

    def limit(self, counter: str) -> Limit | None:
        """Return a limit of a key, or of its use of one provider, by the name of its counter. That of a key that cannot
        be looked up now is unknown."""
        level, _, owner = counter.partition("|")[0].partition(":")
        if level not in ("virtual_key", "entry"):
            return None
        key = None
        with suppress(KeysUnavailableError):  # spending is counted all the same
            key = self.named(owner.partition("/")[0])
        if key is None:
            return None
        limits = [*key.limits, *(limit for entry in key.entries.values() for limit in entry.limits)]
        return next((limit for limit in limits if limit.counter == counter), None)

    def is_revoked(self, digest: bytes) -> bool:
        return self.live is not None and self.live.is_revoked(digest)

    def drop(self, digests: Collection[bytes] | None) -> None:
        if digests is None:
            self._made.clear()
        else:
            for digest in digests:
                self._made.pop(digest, None)
        if self.live is not None:
            _ = self.live.has_changed  # the changes of these keys are known now

    def refresh(self) -> bool:
        if self.live is None or not self.live.has_changed:
            return False
        self._made.clear()
        return True

    def __getitem__(self, digest: bytes) -> VirtualKey:
        found = self.get(digest)
        if found is None:
            raise KeyError(digest.hex())
        return found

    def __iter__(self) -> Iterator[bytes]:
        yield from self.own
        if self.directory is not None:
            yield from self.directory
        if self.live is not None:
            yield from (digest for digest in self.live.digests() if self.get(digest) is not None)  # not disabled ones

    def __len__(self) -> int:
        return len(self.own) + sum(len(keys) for keys in (self.directory, self.live) if keys is not None)

    def __bool__(self) -> bool:
        return bool(self.own) or bool(self._identities) or self.directory is not None or bool(self.live)

    def _find(self, digest: bytes) -> VirtualKey | None:
        row = self.directory.find(digest) if self.directory is not None else None
        if row is not None:
            return self._make(_KeyName(row.name, row.digest), self._policy(row.policy, is_live=False))
        made = self.live.find(digest) if self.live is not None else None
        return self._make_live(made) if made is not None and made.is_enabled else None

    def _make_live(self, row: LiveRow) -> VirtualKey | None:
        """Make a key that was made by API. A child has the rights of its parent, or fewer, and no rights without it."""
        made = self._make(_KeyName(row.name, row.digest), self._policy(row.policy, is_live=True))
        if row.parent is None:
            return replace(made, expires_at=row.expires_at)
        parent = self._usable(row.parent)
        if parent is None:
            return None
        ends = [moment for moment in (row.expires_at, parent.expires_at) if moment is not None]
        return replace(
            parent,
            name=row.name,
            digest=row.digest,
            labels={**parent.labels, **made.labels},
            expires_at=min(ends, default=None),
            allow_models=made.allow_models or parent.allow_models,
            limits=(*made.limits, *parent.limits),
            children=None,
            parent=parent.name,
        )

    def _usable(self, name: str) -> VirtualKey | None:
        """Return the key with this name, if it is enabled."""
        row = self.live.named(name) if self.live is not None else None
        return self.named(name) if row is None or row.is_enabled else None

    def _policy(self, number: int, *, is_live: bool) -> VirtualKey:
        policy = self._policies.get((is_live, number))
        if policy is None:
            if len(self._policies) >= MAX_HELD:
                self._policies.pop(next(iter(self._policies)), None)
            policy = self._policies[is_live, number] = self._read_policy(number, is_live=is_live)
        return policy

    def _read_policy(self, number: int, *, is_live: bool) -> VirtualKey:
        if not is_live:
            assert self.directory is not None
            return self.directory.policy(number)
        assert self.live is not None
        return self.policies.get(number) or self.live.policy(number, self.generation)

    def _make(self, row: _KeyName, policy: VirtualKey) -> VirtualKey:
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
