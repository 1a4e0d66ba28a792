"""Asks providers for their models periodically, so that new models are known without a new catalog.

It runs in the control process, where nothing waits for it, and only if the configuration sets a period. Otherwise the
gateway sends nothing that no client asked for. A provider's list adds to the catalog. A model's absence from a list
proves nothing, since lists are often incomplete. A provider that does not answer keeps its last list.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from pointsman.config.catalog import MAX_LISTED, Lists, read_catalog, write_lists
from pointsman.control.fetch import AnswerError, fetch
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.snapshots import NO_SNAPSHOT, Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.providers import PROVIDERS
from pointsman.wire.json_object import UNREADABLE

JITTER = 0.1  # of the period, either way: gateways started together do not ask together
FIRST_S = 5.0  # other work goes first at the start
_CALL = Call(
    operation="other",
    head=RequestHead(method="GET", path="/models", content_type="application/json"),
    snapshot=NO_SNAPSHOT,
    model="",
)

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
    return key.weight > 0 and key.is_concrete  # tokens are fetched in workers alone


async def ask(endpoint: Endpoint, key: ProviderKey | None = None) -> list[str]:
    """Return a provider's own names for its models, sorted, as listed for this key or for the first usable one. Raises
    `AnswerError`."""
    key = key or next(key for key in endpoint.keys if is_usable(key))
    record = PROVIDERS[endpoint.type]
    lister = record.lister
    assert lister is not None, "asked only where `can_list`"
    body = await fetch(endpoint, lister.encode(_CALL, candidate(endpoint, ""), key))
    try:
        names = record.model_names(body)
    except UNREADABLE as error:
        raise AnswerError(f"the response is not a list of models: {error}") from None
    return sorted({name for name in names if name})[:MAX_LISTED]
