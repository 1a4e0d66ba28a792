"""The owners that are configured: the teams of virtual keys, and the customers of teams."""

from pointsman.config.snapshot_file import Compiled
from pointsman.domain.identity import KeyTable, VirtualKey
from pointsman.domain.rights import TEAM


class ConfiguredOwners:
    """The `domain.rights.Owners` of a configuration."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._by_name: dict[str, VirtualKey] | None = None

    def team_of(self, key: str) -> str | None:
        found = self._key(key)
        return found.team if found is not None else None

    def customer_of(self, level: str, name: str) -> str | None:
        if level == TEAM:
            return self._compiled.customers.get(name)
        found = self._key(name)
        return found.customer if found is not None else None

    def _key(self, name: str) -> VirtualKey | None:
        keys = self._compiled.snapshot.virtual_keys
        if isinstance(keys, KeyTable):
            return keys.named(name)
        if self._by_name is None:  # a list of limits asks for each of many keys
            self._by_name = {key.name: key for key in keys.values()}
        return self._by_name.get(name)
