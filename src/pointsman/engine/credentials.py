"""The present values of credentials that are fetched, such as tokens. They are renewed in the background.

A request never waits for a renewal while the old value is valid. Only if there is none, and no try to fetch one has
failed, a request waits for it, for at most `FIRST_S`: at the start, or after the machine was suspended. Each worker has
its own values, so it needs no other process for them.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from time import time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Scope
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import AwsKeys, Concrete, Origin, Secret, Source
from pointsman.domain.redaction import redact
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import CachedHeads, Endpoint, ProviderKey
from pointsman.engine.sources import mint
from pointsman.engine.sources.exchange import Machine, Minted, RefusedError, Send, UnavailableError
from pointsman.engine.upstreams import Upstreams
from pointsman.transport.fetch import Fetched, fetch

FIRST_S = 10.0  # the longest wait of a request for a value
RENEWED_AT = 0.8  # of the life of a value
MARGIN_S = 60.0  # before the end of a value with more than two minutes: the latest time to begin its renewal
JITTER = 0.1  # of the wait: gateways started together do not renew together
SOONEST_S = 5.0  # between two renewals
LEAST_S = 1.0  # between two renewals of values with shorter lives
RETRY_S, MAX_RETRY_S = 1.0, 60.0  # after a failure; doubled each time
REFUSED_S = 10.0  # after the first refusal
LOOK_S = 60.0  # the longest sleep, since the machine may be suspended
DOUBT_S = 60.0  # the least age of a value that is renewed early, because a provider rejected it
TIMEOUT_S = 10.0  # of one request to a token service
LOCAL_S = 2.0  # to connect to a service of the machine itself: most machines have none
MOST_BYTES = 256 * 1024  # of an answer

Found = ProviderKey | Failure
Then = Callable[[Found], None]
Mint = Callable[[Source, Machine], Awaitable[Minted]]

# The reason that a client gets. The full one may name an address or a file of the gateway.
_REASONS = {
    failures.CONNECT_FAILED: "its service accepts no connection",
    failures.CONNECT_TIMEOUT: "its service accepts no connection in time",
    failures.DNS_FAILED: "the name of its service cannot be resolved",
    failures.TLS_FAILED: "its service has no valid TLS connection",
    failures.CONNECTION_LOST: "its service ended the connection",
    failures.COMMIT_TIMEOUT: "its service does not answer in time",
}


def _unavailable(message: str, reason: str) -> Failure:
    """Return the failure to fetch a value. The request leaves the key. It is not blocked, since its value comes back by
    itself, and a try with it costs nothing until then."""
    return Failure(failures.CREDENTIAL_UNAVAILABLE, message, client_message=reason, scope=Scope.ATTEMPT)


_NOTHING_YET = _unavailable(
    "its service has not answered yet; check that the gateway can reach it", "its service has not answered yet"
)
_logger = logging.getLogger(__name__)


def wait_before_renewal(life_s: float, random: float) -> float:
    """Return the time from the arrival of a value with `life_s` seconds to its renewal. `random` is in [0, 1)."""
    wait_s = max(min(life_s * RENEWED_AT, life_s - MARGIN_S), life_s / 2)
    return max(wait_s * (1 - JITTER * random), min(SOONEST_S, life_s / 2))


def wait_after_failures(count: int, first_s: float, random: float) -> float:
    """Return the time to the next try after so many failures in a row."""
    return min(first_s * 2.0 ** min(count - 1, 16), MAX_RETRY_S) * (1 - JITTER * random)


def _home() -> Path:
    """Return the home of the process's user. One without an entry, as in some containers, has none: few sources look
    there, so it is no error."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


class _Value:
    """The value of one source, and the task that renews it, which ends after one try unless the value is kept.
    `failure` is the reason if the last try failed."""

    def __init__(self, source: Source, machine: Machine, mint: Mint, random: Callable[[], float], name: str) -> None:
        self._source = source
        self._machine = machine
        self._mint = mint
        self._random = random
        self._name = name
        self._waiting: list[Callable[[], None]] = []
        self._hurry = asyncio.Event()
        self._tried_at = 0.0
        self._is_kept = False
        self.minted: Minted | None = None
        self.failure: Failure | None = None
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._renew())

    def keep(self) -> None:
        """Renew the value until the task is cancelled."""
        self._is_kept = True
        if self.task.done():
            self.task = self._loop.create_task(self._renew())

    def present(self) -> Concrete | None:
        """Return the value if it has not ended."""
        minted = self.minted
        if minted is None or (minted.expires_at is not None and minted.expires_at <= self._machine.clock()):
            return None
        return minted.credential

    @property
    def is_awaited(self) -> bool:
        """Return whether a request without a value should wait: no try has failed since the last value."""
        return self.failure is None and self.present() is None

    @property
    def is_over(self) -> bool:
        """Return whether nothing will fetch a value in place of one that has ended."""
        return self.task.done() and self.present() is None

    def when_tried(self, then: Callable[[], None]) -> None:
        """Call `then` after the next try, which begins now unless it has begun."""
        self._waiting.append(then)
        self._hurry.set()

    def doubt(self) -> None:
        """Renew the value soon, unless the last try is new: a provider has rejected the value."""
        if self.minted is not None and self._machine.clock() - self._tried_at > DOUBT_S:
            self._hurry.set()

    async def _renew(self) -> None:
        failures_in_row = 0
        while True:
            try:
                wait_s = await self._try()
                failures_in_row = 0
            except (RefusedError, UnavailableError) as error:
                failures_in_row += 1
                first_s = REFUSED_S if isinstance(error, RefusedError) else RETRY_S
                wait_s = wait_after_failures(failures_in_row, first_s, self._random())
                self._note(error)
            except Exception:  # an unexpected answer must not end the renewal
                failures_in_row += 1
                wait_s = wait_after_failures(failures_in_row, RETRY_S, self._random())
                _logger.exception("the credential %s cannot be renewed", self._name)
                self.failure = _unavailable("an unexpected error, which the log describes", "an unexpected error")
            self._tried_at = self._machine.clock()
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                self._loop.call_soon(then)  # its error must not end the renewal
            if not self._is_kept:
                return
            await self._sleep(wait_s)

    async def _try(self) -> float:
        """Fetch a value. Return the seconds to its renewal."""
        minted = await self._mint(self._source, self._machine)
        now = self._machine.clock()
        if minted.expires_at is not None and minted.expires_at <= now:
            raise UnavailableError(None, "the value had ended when it arrived; check the machine's clock")
        if self.failure is not None:
            _logger.warning("the credential %s is renewed again", self._name)
        self.minted, self.failure = minted, None
        if minted.expires_at is None:
            return LOOK_S * 60
        return max(wait_before_renewal(minted.expires_at - now, self._random()), LEAST_S)

    async def _sleep(self, wait_s: float) -> None:
        """Sleep until a time of the clock, which goes on while the machine is suspended."""
        self._hurry.clear()  # the try has served those who set it meanwhile
        until = self._machine.clock() + wait_s
        while (left_s := until - self._machine.clock()) > 0 and not self._hurry.is_set():
            try:
                await asyncio.wait_for(self._hurry.wait(), min(left_s, LOOK_S))
            except TimeoutError:
                continue

    def _note(self, error: RefusedError | UnavailableError) -> None:
        if isinstance(error, RefusedError):
            reason = "its service refuses it"
            failure = Failure(failures.CREDENTIAL_REJECTED, str(error), client_message=reason, scope=Scope.KEY)
        else:
            known = _REASONS.get(error.kind) if error.kind is not None else None
            failure = _unavailable(str(error), known or "its service does not answer as it should")
        failure = redact(failure, self._source)
        if self.failure is None or self.failure.message != failure.message:
            still = "the old one is still valid" if self.present() is not None else "requests with this key fail"
            _logger.error("no credential for the key %s: %s; %s", self._name, failure.message, still)
        self.failure = failure


class _Ready(Struct, frozen=True):
    """A key with the value that its source had lately."""

    value: _Value
    key: ProviderKey


class Credentials:
    """The values of all sources of the present snapshot. Set `upstreams`, which reach token services, before the first
    use. `mint` and `clock` may be replaced in tests."""

    upstreams: Upstreams

    def __init__(self, mint: Mint = mint, clock: Callable[[], float] = time) -> None:
        self._rng = Random()
        self._mint = mint
        self._clock = clock
        self._values: dict[tuple[Source, Network], _Value] = {}
        self._ready: dict[ProviderKey, _Ready] = {}

    def use(self, endpoint: Endpoint, key: ProviderKey, patience_s: float, then: Then) -> None:
        """Call `then` with the key and its present value, or with a failure: at once, unless a value is awaited. A
        key of an earlier snapshot gets a value that is not renewed."""
        ready = self._ready.get(key)
        if ready is not None and ready.value.present() is ready.key.credential:
            then(ready.key)
            return
        value = self._value(endpoint, key)
        if value is None or not value.is_awaited:
            then(key if value is None else self._found(value, endpoint, key))
            return
        is_told = False

        def tell() -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                timer.cancel()
                then(self._found(value, endpoint, key))

        timer = asyncio.get_running_loop().call_later(min(patience_s, FIRST_S), tell)
        value.when_tried(tell)

    def doubt(self, endpoint: Endpoint, key: ProviderKey) -> None:
        """Renew the value of a key soon, because the provider has rejected it."""
        if not isinstance(key.credential, (Secret, AwsKeys)):
            value = self._values.get((key.credential, endpoint.network))
            if value is not None:
                value.doubt()

    def swap(self, snapshot: Snapshot) -> None:
        """Begin to fetch the values of a new snapshot, and forget those that it does not use."""
        self._ready.clear()
        used = set()
        for endpoint in snapshot.endpoints.values():
            for key in endpoint.keys:
                value = self._value(endpoint, key) if key.weight > 0 else None
                if value is not None:
                    value.keep()
                    used.add((key.credential, endpoint.network))
        for at in [at for at in self._values if at not in used]:
            self._values.pop(at).task.cancel()

    def close(self) -> None:
        """Stop all renewals."""
        for value in self._values.values():
            value.task.cancel()
        self._values.clear()
        self._ready.clear()

    def _found(self, value: _Value, endpoint: Endpoint, key: ProviderKey) -> Found:
        present = value.present()
        if present is None:  # keys with the same source share it, and its failure
            failure = value.failure or _NOTHING_YET
            name = f"{endpoint.name}:{key.name}"
            return replace(
                failure,
                message=f"no credential for the key {name}: {failure.message}",
                client_message=f"the credential of the key {name} cannot be fetched: {failure.for_client}",
            )
        made = replace(key, credential=present, cached_heads=CachedHeads())
        self._ready[key] = _Ready(value, made)
        return made

    def _value(self, endpoint: Endpoint, key: ProviderKey) -> _Value | None:
        """Return the value of a key, or `None` if its credential is concrete."""
        source, network = key.credential, endpoint.network
        if isinstance(source, (Secret, AwsKeys)):
            return None
        found = self._values.get((source, network))
        if found is None or found.is_over:
            machine = Machine(os.environ, _home(), self._clock, self._sender(network))
            name = f"{endpoint.name}:{key.name}"
            found = _Value(source, machine, self._mint, self._rng.random, name)
            self._values[source, network] = found
        return found

    def _sender(self, network: Network) -> Send:
        near = replace(network, proxy=None, proxy_authorization=None, reaches_metadata=True, connect_timeout_s=LOCAL_S)

        async def send(origin: Origin, request: UpstreamRequest, is_local: bool) -> Fetched:
            client = self.upstreams.at(near if is_local else network)
            return await fetch(client, origin, request, TIMEOUT_S, MOST_BYTES)

        return send
