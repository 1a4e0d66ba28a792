"""Identities: virtual keys with their rights and limits."""

from abc import abstractmethod
from collections.abc import Mapping

from msgspec import Struct

from pointsman.domain.limits import Limit
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


class VirtualKey(Struct, frozen=True, kw_only=True, eq=False):
    """A key of the gateway's own. `digest` is the SHA-256 of its value; the value itself is not stored.

    `entries` are the providers it may use, by name; empty means all. `allow_models` are shell-style patterns of the
    model names it may request; empty means all. `limits` are its own, then those of its team and of its customer.
    `labels` are the customer's, overridden by those of its team and then by its own. `expires_at` is in Unix seconds.
    `strategy` is `None` if the public name or `routing` decides, and `near_limit` is `None` if the snapshot decides.
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


class KeyTable(Mapping[bytes, VirtualKey]):
    """Virtual keys by digest, for tables too large for memory. Each key is made at its first use."""

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
