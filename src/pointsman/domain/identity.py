"""Identities: virtual keys with their rights and limits."""

from abc import abstractmethod
from collections.abc import Collection, Mapping

from msgspec import Struct

from pointsman.domain.limits import Limit
from pointsman.domain.requirements import NO_REQUIREMENTS, Requirements
from pointsman.domain.targets import Strategy


class ProviderEntry(Struct, frozen=True, eq=False):
    """The terms under which a virtual key may use one provider. `weight` is the provider's share of the key's requests.
    If no entry of a key sets a weight, the key does not choose between providers. `allow_models` are shell-style
    patterns of the provider's model names; empty means all. `keys` are the names of the provider's keys that it may
    use; `None` means all."""

    provider: str
    weight: float | None = None
    allow_models: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    keys: frozenset[str] | None = None


class EndUserLimits(Struct, frozen=True, kw_only=True, eq=False):
    """The limits of each end user of some virtual keys. `selector` names these keys in the names of counters. `header`
    is the header that names the user; if it is empty, that is a field of the dialect. The limits are templates: their
    owner is the selector. In each window, at most `at_most` users have counters of their own."""

    selector: str
    header: str
    at_most: int
    limits: tuple[Limit, ...]


class AccessTemplate(Struct, frozen=True, kw_only=True):
    """A template of keys that the members of a team make. `at_most` is for each member. `longest_s` is the longest
    time that a key may be valid, if there is one."""

    name: str
    team: str
    customer: str | None
    at_most: int
    longest_s: float | None


class ChildKeys(Struct, frozen=True):
    """The right of a virtual key to make child keys: `at_most` that are valid at a time, each for at most `longest_s`
    seconds."""

    at_most: int
    longest_s: float


class VirtualKey(Struct, frozen=True, kw_only=True, eq=False):
    """A credential that a client presents to the gateway, with its rights and limits. `digest` is the SHA-256 of its
    value; the value itself is not stored.

    `entries` are the providers it may use, by name; empty means all. `allow_models` are shell-style patterns of the
    model names it may request; empty means all. `limits` are its own, then those of its team and of its customer.
    `labels` are the customer's, overridden by those of its team and then by its own. `expires_at` is in Unix seconds.
    `strategy` is `None` if the public name or `routing` decides, and `near_limit` is `None` if the snapshot decides.
    `require` are its own requirements, and those of its team and of its customer. `provider_tools` are the tools that a
    provider may run for it; `None` allows all if no requirement applies, and otherwise none.
    `end_users` are the limits of its end users, if the key may name them. `networks` are those that its clients must be
    in; empty means all. `children` is its right to make child keys. A child names its `parent`: it has the rights of
    that key, or fewer, and counts in its limits too. A caller with a token or a certificate instead of a key
    (`is_caller`) is a child of its identity; `digest` is then that of what it presented.
    """

    name: str
    digest: bytes
    team: str | None = None
    customer: str | None = None
    labels: dict[str, str] = {}
    expires_at: float | None = None
    allow_models: tuple[str, ...] = ()
    entries: dict[str, ProviderEntry] = {}
    strategy: Strategy | None = None
    limits: tuple[Limit, ...] = ()
    near_limit: str | None = None
    require: Requirements = NO_REQUIREMENTS
    provider_tools: frozenset[str] | None = None
    end_users: tuple[EndUserLimits, ...] = ()
    networks: tuple[str, ...] = ()
    children: ChildKeys | None = None
    parent: str | None = None
    is_caller: bool = False


class KeysUnavailableError(Exception):
    """The table of virtual keys cannot be read now."""


class KeyTable(Mapping[bytes, VirtualKey]):
    """Virtual keys by digest, for tables too large for memory, or that change without a new snapshot. `own` are those
    in memory; each other key is made at its first use. Every look-up raises `KeysUnavailableError`."""

    own: Mapping[bytes, VirtualKey]

    @abstractmethod
    def is_revoked(self, digest: bytes) -> bool:
        """Return whether a key with this digest is known to be revoked or disabled."""

    @abstractmethod
    def drop(self, digests: Collection[bytes] | None) -> None:
        """Make these keys anew at their next use, or all if there is `None`."""

    @abstractmethod
    def refresh(self) -> bool:
        """Return whether the table has changed since the last call or `drop`. If so, all keys are made anew."""

    @abstractmethod
    def named(self, name: str) -> VirtualKey | None:
        """Return the key with a name."""

    @abstractmethod
    def limit(self, counter: str) -> Limit | None:
        """Return a key's own limit by the name of its counter."""


def key_named(keys: Mapping[bytes, VirtualKey], name: str) -> VirtualKey | None:
    """Return the key with a name."""
    if isinstance(keys, KeyTable):
        return keys.named(name)
    return next((key for key in keys.values() if key.name == name), None)
