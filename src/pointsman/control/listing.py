"""Asks providers for their models periodically, so that new models are known without a new catalog.

It runs in the control process, where nothing waits for it, and only if the configuration sets a period. Otherwise the
gateway sends nothing that no client asked for. A provider's list adds to the catalog. A model's absence from a list
proves nothing, since lists are often incomplete. A provider that does not answer keeps its last list.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time

from pointsman.config.catalog import MAX_LISTED, Lists, read_catalog, write_lists
from pointsman.control.fetch import AnswerError, fetch
from pointsman.control.fetched_keys import concrete
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.providers import PROVIDERS
from pointsman.providers.api import ModelLists
from pointsman.wire.json_object import UNREADABLE

JITTER = 0.1  # of the period, either way: gateways started together do not ask together
MAX_PAGES = 50
FIRST_S = 5.0  # other work goes first at the start

_logger = logging.getLogger("pointsman")


class Listing:
    """The periodic task. `snapshot` returns the providers, `on_change` is called when lists in the data folder have
    changed, and `random` returns numbers in [0, 1)."""

    def __init__(
        self,
        period_s: float,
        data_dir: Path,
        snapshot: Callable[[], Snapshot],
        on_change: Callable[[], Awaitable[object]],
        random: Callable[[], float],
    ) -> None:
        self._period_s = period_s
        self._data_dir = data_dir
        self._snapshot = snapshot
        self._on_change = on_change
        self._random = random

    async def run(self) -> None:
        """Ask until cancelled."""
        await asyncio.sleep(FIRST_S * (1 + self._random()))
        while True:
            try:
                await self.ask_all()
            except Exception:  # the next round may succeed
                _logger.exception("cannot list the models of providers")
            await asyncio.sleep(self._period_s * (1 + JITTER * (2 * self._random() - 1)))

    async def ask_all(self) -> Lists:
        """Ask every eligible provider, one after the other, and keep the answers."""
        before = read_catalog(self._data_dir).lists.providers
        endpoints = self._snapshot().endpoints
        found = {name: models for name, models in before.items() if name in endpoints}
        for name, endpoint in endpoints.items():
            if not can_list(endpoint):
                continue
            try:
                found[name] = await ask(endpoint)
            except AnswerError as error:
                _logger.warning("provider %s: cannot list its models: %s", name, error)
            except Exception:  # one bad list must not stop the others
                _logger.exception("provider %s: an internal error while listing its models", name)
        lists = Lists(found)
        if found != before:
            await asyncio.to_thread(write_lists, self._data_dir, lists)
            counts = ", ".join(f"{name} {len(models)}" for name, models in sorted(found.items()))
            _logger.info("the lists of models have changed: %s", counts)
            await self._on_change()
        return lists


def can_list(endpoint: Endpoint) -> bool:
    """Return whether it lists its models, has a key to ask with, and has no configured list of models."""
    record = PROVIDERS.get(endpoint.type)
    lists = record is not None and record.lists_models
    return lists and not endpoint.serves_only and any(is_usable(key) for key in endpoint.keys)


def is_usable(key: ProviderKey) -> bool:
    """Return whether a list can be requested with this key."""
    return key.weight > 0


async def ask(endpoint: Endpoint, key: ProviderKey | None = None) -> list[str]:
    """Return a provider's own names for its models, sorted, as listed for this key or for the first usable one. A token
    is fetched if the key needs one. Raises `AnswerError`."""
    lists = PROVIDERS[endpoint.type].lists
    assert lists is not None, "asked only where `can_list`"
    key = await concrete(endpoint, key or next(key for key in endpoint.keys if is_usable(key)))
    there = lists.at(endpoint)
    found: set[str] = set()
    for path in lists.paths:
        try:
            found.update(await _names_at(path, there, key, lists))
        except AnswerError as error:
            if error.status != 404 or path == lists.paths[0]:  # not all regions have every list
                raise
    return sorted(found - {""})[:MAX_LISTED]


async def _names_at(path: str, there: Endpoint, key: ProviderKey, lists: ModelLists) -> list[str]:
    """Return the names in all pages of one list."""
    found: list[str] = []
    query = ""
    for _ in range(MAX_PAGES):
        body = await fetch(there, lists.request(candidate(there, ""), key, _joined(path, query), time()))
        try:
            found += lists.names(body)
            query = lists.next_page(body)
        except UNREADABLE as error:
            raise AnswerError(f"the response is not a list of models: {error}") from None
        if not query:
            return found
    raise AnswerError(f"its list of models has more than {MAX_PAGES} pages")


def _joined(path: str, query: str) -> str:
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{query}"
