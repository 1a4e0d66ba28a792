"""Runs a plan: asks the pure core for the next step and carries it out, until an answer commits or nothing is left."""

import asyncio
from time import monotonic

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.outcomes import Attempt
from pointsman.domain.plans import GiveUp, Plan, Try, Wait
from pointsman.domain.targets import Candidate
from pointsman.engine.accounts import Accounts
from pointsman.engine.live import Live
from pointsman.engine.reception import Begin, Reception
from pointsman.engine.tasks import Waiter
from pointsman.engine.uploads import Upload
from pointsman.engine.upstreams import Upstreams
from pointsman.providers import PROVIDERS
from pointsman.routing.failover import next_step
from pointsman.transport.http_server import Exchange


class ClientGone(Exception):  # noqa: N818 -- not an error: what a disconnect throws into the waiting request
    """The client went away."""


class Run:
    """The attempts of one request. `history` grows by one for each; `reception` is the last answer; `started_at` is
    the start of the attempt in progress, `paused_s` what was spent in pauses between attempts. `upload` is a body that is passed on as it arrives."""

    __slots__ = (
        "_accounts", "_begin", "_exchange", "_live", "_upload", "_upstreams",
        "call", "chosen", "history", "paused_s", "plan", "reception", "started_at",
    )  # fmt: skip

    def __init__(
        self, call: Call, plan: Plan, exchange: Exchange, begin: Begin, engine: "Engine", upload: Upload | None = None
    ) -> None:
        self.call = call
        self.plan = plan
        self.history: list[Attempt] = []
        self.reception: Reception | None = None
        self.chosen: Candidate | None = None
        self.started_at: float | None = None
        self.paused_s = 0.0
        self._upload = upload
        self._exchange = exchange
        self._begin = begin
        self._live = engine.live
        self._accounts = engine.accounts
        self._upstreams = engine.upstreams

    async def run(self) -> Failure | GiveUp | None:
        """`None` when the answer was had: whole in `reception.body`, or already passed on. A `Failure` when it broke
        off after its commit, a `GiveUp` when nothing was committed.

        Raises `ClientGone`, with the attempt in progress cancelled and accounted for.
        """
        while True:
            now = monotonic()
            step = next_step(self.plan, self.history, self._live, now)
            if type(step) is Try:
                reception = await self._attempt(step, now)
                failure = reception.failure
                if failure is None:
                    return None
                if reception.committed_at is not None:
                    return failure
            elif isinstance(step, GiveUp):
                return step
            elif isinstance(step, Wait):
                await self._pause(step)

    async def _pause(self, step: Wait) -> None:
        elapsed: Waiter[None] = Waiter()
        timer = asyncio.get_running_loop().call_later(step.delay_s, elapsed.set, None)
        self.paused_s += step.delay_s
        try:
            await elapsed
        finally:
            timer.cancel()

    async def _attempt(self, step: Try, now: float) -> Reception:
        candidate = step.choice.candidate
        endpoint = candidate.endpoint
        codec = PROVIDERS[endpoint.type].codecs[self.call.operation]
        reception = Reception(self.call, codec, self._exchange, self._begin, self._live.snapshot.routing)
        self.reception = reception
        self.chosen = candidate
        self.started_at = now
        self._live.begin(candidate, now, is_retry=self._is_retry(candidate))
        gone = True
        try:
            request = codec.encode(self.call, candidate, step.key)
            client, deadline = self._upstreams.client(endpoint), now + step.timeout_s
            if self._upload is None:
                reception.leg = client.send(endpoint.origin, request, reception, deadline)
            else:
                length = self._upload.length_for(candidate.model)
                leg = client.send_streaming(endpoint.origin, request, reception, deadline, length)
                reception.leg = leg
                self._upload.pump(leg, candidate.model)
            await reception.done
            gone = False
        finally:
            if gone:
                if reception.leg is not None:
                    reception.leg.cancel()
                reception.failure = Failure(failures.CLIENT_GONE, "the client disconnected")
            self._account(step, reception, now)
        return reception

    def _account(self, step: Try, reception: Reception, started_at: float) -> None:
        candidate, now, failure = step.choice.candidate, monotonic(), reception.failure
        attempt = Attempt(
            candidate.id,
            candidate.endpoint.name,
            candidate.model,
            step.key.name,
            started_at,
            now,
            reception.first_byte_at,
            reception.committed_at,
            reception.status,
            failure,
            reception.usage,
            reception.bytes_in,
        )
        self.started_at = None
        self.history.append(attempt)
        self._live.finish(candidate, step.key, failure, now)
        self._accounts.attempt(candidate, attempt)

    def _is_retry(self, candidate: Candidate) -> bool:
        """Whether this attempt spends a token: the first failover to another provider does not."""
        failed = [
            attempt.provider
            for attempt in self.history
            if attempt.failure is not None and attempt.failure.kind.fault is Fault.PROVIDER
        ]
        return len(failed) > 1 or candidate.endpoint.name in failed


class Engine:
    """What every request shares."""

    __slots__ = ("accounts", "live", "upstreams")

    def __init__(self, live: Live, upstreams: Upstreams, accounts: Accounts) -> None:
        self.live = live
        self.upstreams = upstreams
        self.accounts = accounts
