"""Runs a plan: asks the pure core for the next step and carries it out, until an answer commits or nothing is left."""

import asyncio
from time import monotonic

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Attempt
from pointsman.domain.plans import GiveUp, Plan, Try, Wait
from pointsman.domain.redaction import redact
from pointsman.domain.targets import Candidate
from pointsman.engine.accounts import Accounts
from pointsman.engine.live import Live
from pointsman.engine.reception import Begin, Reception
from pointsman.engine.tasks import Waiter
from pointsman.engine.uploads import Upload
from pointsman.engine.upstreams import Upstreams
from pointsman.providers import PROVIDERS
from pointsman.providers._provider import Codec
from pointsman.routing.failover import is_retry, next_step
from pointsman.transport.http_server import Exchange


class ClientGone(Exception):  # noqa: N818 -- not an error: what a disconnect throws into the waiting request
    """The client went away."""


class Engine:
    """What every request shares."""

    __slots__ = ("accounts", "live", "upstreams")

    def __init__(self, live: Live, upstreams: Upstreams, accounts: Accounts) -> None:
        self.live = live
        self.upstreams = upstreams
        self.accounts = accounts


class Run:
    """The attempts of one request.

    `history` grows by one for each; `reception` is the last answer and `chosen` who gives it. `started_at` is the start
    of the attempt in progress, `waited_s` what was spent on attempts and pauses before. `upload` is a body that is
    passed on as it arrives.
    """

    chosen: Candidate | None = None
    reception: Reception | None = None
    started_at: float | None = None
    waited_s = 0.0
    upload: Upload | None = None

    def __init__(self, call: Call, plan: Plan, exchange: Exchange, begin: Begin, engine: Engine) -> None:
        self.call = call
        self.plan = plan
        self.history: list[Attempt] = []
        self._exchange = exchange
        self._begin = begin
        self._engine = engine

    async def run(self) -> Failure | GiveUp | None:
        """`None` when the answer was had: whole in `reception.body`, or already passed on. A `Failure` when it broke
        off after its commit, a `GiveUp` when nothing was committed.

        Raises `ClientGone`, with the attempt in progress cancelled and accounted for.
        """
        live, history = self._engine.live, self.history
        while True:
            now = monotonic()
            step = next_step(self.plan, history, live, now)
            if type(step) is not Try:
                if isinstance(step, Wait):
                    await self._pause(step)
                    continue
                return step if isinstance(step, GiveUp) else None
            codec = PROVIDERS[step.choice.candidate.endpoint.type].codecs[self.call.operation]
            reception = Reception(self.call, codec, self._exchange, self._begin, live.snapshot.routing)
            self.reception = reception
            try:
                self._start(step, codec, reception, now)
                await reception.done
            except ClientGone:
                if reception.leg is not None:
                    reception.leg.cancel()
                reception.failure = Failure(failures.CLIENT_GONE, "the client disconnected")
                raise
            finally:
                if reception.failure is not None:
                    reception.failure = redact(reception.failure, step.key.secret)
                self._account(step, reception, now)
            failure = reception.failure
            if failure is None or reception.committed_at is not None:
                return failure

    def _start(self, step: Try, codec: Codec, reception: Reception, now: float) -> None:
        engine, candidate = self._engine, step.choice.candidate
        endpoint = candidate.endpoint
        self.chosen = candidate
        self.started_at = now
        history = self.history
        engine.live.begin(candidate, now, is_retry=bool(history) and is_retry(endpoint.name, history))
        request = codec.encode(self.call, candidate, step.key)
        client, deadline = engine.upstreams.client(endpoint), now + step.timeout_s
        upload = self.upload
        if upload is None:
            reception.leg = client.send(endpoint.origin, request, reception, deadline)
        else:
            length = upload.length_for(candidate.model)
            leg = client.send_streaming(endpoint.origin, request, reception, deadline, length)
            reception.leg = leg
            upload.pump(leg, candidate.model)

    async def _pause(self, step: Wait) -> None:
        elapsed: Waiter[None] = Waiter()
        timer = asyncio.get_running_loop().call_later(step.delay_s, elapsed.set, None)
        self.waited_s += step.delay_s
        try:
            await elapsed
        finally:
            timer.cancel()

    def _account(self, step: Try, reception: Reception, started_at: float) -> None:
        candidate, now, failure = step.choice.candidate, monotonic(), reception.failure
        self.started_at = None
        self.waited_s += now - started_at
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
        self.history.append(attempt)
        engine = self._engine
        engine.live.finish(candidate, step.key, failure, now)
        engine.accounts.attempt(candidate, attempt)
