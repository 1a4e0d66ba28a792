"""The public keys of issuers, kept up to date in the background. A request never waits for an issuer.

Keys at an address are read again every `refresh_s`, and at once for an unknown key, but at most every `LEAST_S`. A file
is read again when it changes. If that fails, the last keys are used until they are `max_age_s` old. Each worker has its
own keys, so it needs no other process for them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic

import msgspec

from pointsman.domain.callers import KeySource
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import is_loopback
from pointsman.domain.origin import Origin
from pointsman.domain.urls import split_url, target_of
from pointsman.engine.token_checks import SigningKey, read_keys
from pointsman.engine.upstreams import Upstreams
from pointsman.transport.fetch import FetchError, fetch

LEAST_S = 30.0  # between two reads from an address
LOOK_S = 2.0  # between two looks at a file
RETRY_S, MAX_RETRY_S = 1.0, 60.0  # after a failure; doubled each time
TIMEOUT_S = 10.0
MOST_BYTES = 256 * 1024
_METADATA = "/.well-known/openid-configuration"
_ACCEPT = b"accept: application/json\r\n"

Keys = tuple[SigningKey, ...]
_logger = logging.getLogger(__name__)


class KeysError(Exception):
    """The keys cannot be read. The message has the reason."""


class _KeySet:
    """The keys of one source, and the task that reads them. `on_changed` is called after any change of `keys`."""

    def __init__(self, source: KeySource, sets: "KeySets") -> None:
        self._source = source
        self._sets = sets
        self._hurry = asyncio.Event()
        self._content = b""
        self._read_at = 0.0
        self._problem = ""
        self.keys: Keys | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    def hurry(self) -> None:
        self._hurry.set()

    async def _run(self) -> None:
        failures_in_row = 0
        while True:
            began_at = self._sets.clock()
            try:
                content = await self._sets.read(self._source)
                self._take(content, read_keys(content))
                failures_in_row = 0
                wait_s = LOOK_S if self._source.path else self._source.refresh_s
            except (KeysError, FetchError, OSError, ValueError) as error:
                failures_in_row += 1
                wait_s = min(RETRY_S * 2.0 ** min(failures_in_row - 1, 16), MAX_RETRY_S)
                self._fail(str(error) or type(error).__name__)
            except Exception:  # an unexpected answer must not end the task
                failures_in_row += 1
                wait_s = MAX_RETRY_S
                _logger.exception("the keys of the issuer %s cannot be read", self._source.issuer)
            await self._sleep(began_at, wait_s)

    async def _sleep(self, began_at: float, wait_s: float) -> None:
        self._hurry.clear()
        if self.keys is not None and not self._source.path:  # the keys are dropped in time
            wait_s = min(wait_s, max(0.0, self._read_at + self._source.max_age_s - self._sets.clock()) + 0.01)
        try:
            await asyncio.wait_for(self._hurry.wait(), wait_s)
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, began_at + self._sets.least_s - self._sets.clock()))

    def _take(self, content: bytes, keys: Keys) -> None:
        self._read_at = self._sets.clock()
        if self._problem:
            _logger.warning("the keys of the issuer %s can be read again", self._source.issuer)
            self._problem = ""
        if self.keys is None or content != self._content:
            if self.keys is not None:
                _logger.info("the issuer %s has new keys", self._source.issuer)
            self.keys, self._content = keys, content
            self._sets.on_changed()

    def _fail(self, problem: str) -> None:
        is_old = self.keys is not None and self._sets.clock() - self._read_at >= self._source.max_age_s
        if is_old:
            self.keys = None
            self._sets.on_changed()
        if problem != self._problem or is_old:
            left = "the last ones are used" if self.keys is not None else "its callers are refused"
            _logger.error("the keys of the issuer %s cannot be read: %s; %s", self._source.issuer, problem, left)
        self._problem = problem


class KeySets:
    """The keys of all sources of the present snapshot. Set `upstreams`, which reach issuers, before the first swap.
    `on_changed` is called after any keys have changed."""

    upstreams: Upstreams

    def __init__(self, clock: Callable[[], float] = monotonic, least_s: float = LEAST_S) -> None:
        self.clock = clock
        self.least_s = least_s
        self.on_changed: Callable[[], None] = lambda: None
        self._sets: dict[KeySource, _KeySet] = {}

    def swap(self, sources: Iterable[KeySource]) -> None:
        """Read the keys of these sources, and forget all others."""
        used = frozenset(sources)
        for source in used - self._sets.keys():
            self._sets[source] = _KeySet(source, self)
        for source in self._sets.keys() - used:
            self._sets.pop(source).task.cancel()

    def find(self, source: KeySource) -> Keys | None:
        """Return the present keys of a source, or `None` if there are none that can be trusted."""
        found = self._sets.get(source)
        return found.keys if found is not None else None

    def doubt(self, source: KeySource) -> None:
        """Read the keys of a source soon: a token was signed by another one."""
        found = self._sets.get(source)
        if found is not None and not source.path:
            found.hurry()

    def close(self) -> None:
        """Stop reading."""
        self.swap(())

    async def read(self, source: KeySource) -> bytes:
        """Return the key set of a source. Raises `KeysError`, `FetchError`, `OSError` and `ValueError`."""
        if source.path:
            return await asyncio.to_thread(_read_file, Path(source.path))
        return await self._get(source, source.url or await self._found_url(source))

    async def _found_url(self, source: KeySource) -> str:
        """Return the address of the keys that the issuer's metadata name."""
        content = await self._get(source, source.issuer.rstrip("/") + _METADATA)
        found = msgspec.json.decode(content)
        if not isinstance(found, dict) or found.get("issuer") != source.issuer:
            raise KeysError("its metadata state another issuer")
        url = found.get("jwks_uri")
        if not isinstance(url, str):
            raise KeysError("its metadata have no jwks_uri")
        if split_url(url)[0].scheme != "https" and not (_is_local(source.issuer) and _is_local(url)):
            raise KeysError("the jwks_uri in its metadata must begin with https://")
        return url

    async def _get(self, source: KeySource, url: str) -> bytes:
        origin, rest = split_url(url)
        request = UpstreamRequest(b"GET", target_of(rest), _ACCEPT, b"")
        answer = await fetch(self.upstreams.at(source.network), origin, request, TIMEOUT_S, MOST_BYTES)
        if answer.status != 200:
            raise KeysError(f"{_shown(origin)} answered with status {answer.status}")
        return answer.body


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise KeysError(f"{path} has more than {MOST_BYTES} bytes")
    return content


def _is_local(url: str) -> bool:
    return is_loopback(split_url(url)[0].host)


def _shown(origin: Origin) -> str:
    return f"{origin.scheme}://{origin.host}:{origin.port}"
