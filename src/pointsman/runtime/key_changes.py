"""A worker's reaction to changes of virtual keys: no later request is served under an earlier state of a key."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import time

from pointsman.domain.identity import KeysUnavailableError, KeyTable
from pointsman.domain.leases import Return
from pointsman.domain.limits import Limit
from pointsman.runtime.data_plane import DataPlane

_logger = logging.getLogger(__name__)


class KeyChanges:
    """Takes changes into a data plane. `give_back` returns leases of limits that were lowered."""

    def __init__(self, plane: DataPlane, give_back: Callable[[Sequence[Return]], None]) -> None:
        self._plane = plane
        self._give_back = give_back

    def take(self, digests: Sequence[bytes] | None, limited: Sequence[str]) -> None:
        """Drop the keys with these digests, or all, and every admission under them. `limited` are the names of keys
        whose limits have changed."""
        keys = self._plane.live.snapshot.virtual_keys
        if not isinstance(keys, KeyTable):
            return
        try:
            keys.drop(digests)
            limits = list(_limits_of(keys, limited))
        except KeysUnavailableError as error:  # every look-up will report it, too
            _logger.error("virtual keys made by API cannot be looked up: %s", error)  # noqa: TRY400
            limits = []
        self._forget()
        if limits:
            self._plane.amounts.forget_limits()
            returned = self._plane.ledger.change(limits, time())
            if returned:
                self._give_back(returned)

    def look(self) -> None:
        """Look whether the file of keys has changed without a notice, for example because control died."""
        keys = self._plane.live.snapshot.virtual_keys
        if isinstance(keys, KeyTable):
            try:
                has_changed = keys.refresh()
            except KeysUnavailableError:  # an admitted key may be revoked, so nobody vouches for it
                has_changed = True
                with suppress(KeysUnavailableError):
                    keys.drop(None)
            if has_changed:
                self._forget()

    def _forget(self) -> None:
        self._plane.api.forget_heads()
        self._plane.server.forget_derived()


def _limits_of(keys: KeyTable, names: Sequence[str]) -> Iterator[Limit]:
    for name in names:
        key = keys.named(name)
        if key is not None:
            yield from (limit for limit in key.limits if limit.level == "virtual_key")
            yield from (limit for entry in key.entries.values() for limit in entry.limits)
