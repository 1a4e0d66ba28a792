"""One request from its call to its account: decide, attempt, answer, account.

The attempts are a loop around the pure core's `next_step`: it says what to do, the loop does it, until an answer
commits or nothing is left.
"""

import asyncio
from functools import lru_cache
from random import Random
from time import monotonic, time

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.access import Access
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.leases import Unable
from pointsman.domain.messages import Headers
from pointsman.domain.outcomes import PastAttempt, UsageSource
from pointsman.domain.plans import Await, GiveUp, Plan, Reason, Try, Verdict
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.redaction import redact
from pointsman.domain.targets import Candidate
from pointsman.engine.accounts import Accounts
from pointsman.engine.billing import Billing, Hold, Shortened, Tab, wants
from pointsman.engine.listing import FilteredList
from pointsman.engine.live import Live
from pointsman.engine.ownership import Ownership, is_filtered
from pointsman.engine.receiver import AnswerReceiver, Output
from pointsman.engine.record import note_answer
from pointsman.engine.remains import Remains
from pointsman.engine.renaming import Renaming
from pointsman.engine.responses import answer_lines, provider_lines
from pointsman.engine.tasks import Waiter
from pointsman.engine.uploads import UploadRelay
from pointsman.engine.upstreams import Upstreams
from pointsman.money.ledger import Short
from pointsman.providers import PROVIDERS
from pointsman.providers.api import Codec
from pointsman.routing.admit import Grant
from pointsman.routing.decide import decide, nothing_left, without
from pointsman.routing.failover import is_repeat, next_step
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import Head
from pointsman.wire.callers import client_address
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.errors import status_of

LENT_S = 0.1  # how long others are waited for to give back what they hold idle of a limit
ROOM_S = 0.5  # how long a request waits for reservations to be settled for less
SHORTENINGS = 4  # how often others may take what an answer was shortened to
_FOR_RECALL = Await(0.01, "others are asked to give back what they do not need")
_FOR_ROOM = Await(0.05, "a limit has room once what is reserved in it is settled")
_SOURCES = {source: source.value for source in UsageSource}
_ESTIMATED, _RESERVED = UsageSource.ESTIMATED, UsageSource.RESERVED


class Cancelled(Exception):  # noqa: N818 -- not an error: what is thrown into the waiting request
    """The client went away, or the gateway does not wait for the end of the answer."""


class Engine(Struct, frozen=True, eq=False):
    """What every request shares."""

    live: Live
    upstreams: Upstreams
    accounts: Accounts
    billing: Billing
    rng: Random
    ownership: Ownership = field(default_factory=Ownership)
    remains: Remains = field(default_factory=Remains)


class Serving:
    """One request on its way. Lives in the coroutine `run`, which `Cancelled` ends from outside.

    `history` holds the failed attempts and `records` all of them. `reception` is the last answer, and `chosen` who
    gives it. `started_at` is the start of the attempt in progress; `waited_s` is what was spent on attempts and pauses
    before it. `upload` is a body that is passed on as it arrives. `sent` counts the attempts that were begun, and
    `cost_nano` is what those that are over cost, `estimated_nano` and `reserved_nano` are the parts of it that no
    provider told. `may_fit` says that a limit would have room if what is reserved in it came free, `may_shorten` that
    there may be room for a shorter answer; with `is_shortening` one is sought. `shortened` is what became of the
    attempt's call. `renaming` stands before the exchange where the answer is to name the model that was asked for.
    """

    plan: Plan | None = None
    chosen: Candidate | None = None
    listing: FilteredList | None = None
    reception: AnswerReceiver | None = None
    started_at: float | None = None
    status = 0
    may_fit = False
    may_shorten = False
    is_shortening = False
    shortened: Shortened | None = None
    renaming: Renaming | None = None

    def __init__(self, engine: Engine, exchange: Exchange, call: Call, grant: Grant, request_id: str) -> None:
        self.engine = engine
        self.exchange = exchange
        self.call = call
        self.grant = grant
        self.request_id = request_id
        # What every request reads is set here: a class's value is slower to read than an object's own.
        self.waited_s = 0.0
        self.history: tuple[PastAttempt, ...] = ()
        self.records: tuple[AttemptRecord, ...] = ()
        self.upload: UploadRelay | None = None
        self.lines = b""  # of the answer, beside the others
        self.sent = 0
        self.cost_nano = 0
        self.estimated_nano = 0
        self.reserved_nano = 0

    async def run(self) -> None:
        """Serve the request. Whatever becomes of it, it is accounted for."""
        engine, key, now = self.engine, self.grant.virtual_key, monotonic()
        failure: Failure | None = BROKEN
        try:
            if engine.live.exhausted:
                engine.live.forget_exhausted(now)
            placed = await self._place() if self.call.state is not None else None
            plan = placed or decide(Facts(self.call, key), engine.live.under(self.call.snapshot), engine.rng, now)
            if isinstance(plan, Failure):
                failure = plan
                self._refuse(GiveUp(plan))
                return
            self.plan = first_plan = plan
            waits_until, due = now + ROOM_S, None
            while True:
                step = next_step(plan, self.history, engine.live, now, due)
                due = None
                if type(step) is Try:
                    failure = await (self._attempt(step, now) if self.listing is None else self._page(step, now))
                    if failure is None:
                        failure = self._send_whole()
                        return
                    if failure is _LEFT_OUT:
                        plan = self.plan
                        if not plan.choices and not self.history:
                            if self.may_fit and now < waits_until:
                                await self._pause(_FOR_ROOM)
                            elif not self._may_shorten_now():
                                failure = nothing_left(self.call.model, plan.verdicts, now)
                                self._refuse(GiveUp(failure))
                                return
                            plan = self.plan = first_plan
                            self.may_fit = False
                        now = monotonic()
                        continue
                    if self.reception is not None and self.reception.committed_at is not None:
                        self._break_off(failure)
                        return
                elif isinstance(step, Await):
                    await self._pause(step)
                    due = step.then
                elif self._may_shorten_now():
                    plan = self.plan = first_plan
                else:
                    failure = step.failure if isinstance(step, GiveUp) else BROKEN
                    self._refuse(step if isinstance(step, GiveUp) else GiveUp(BROKEN))
                    return
                now = monotonic()
        except Cancelled:
            failure = self._leave()
        except Exception:  # whatever it is, the client must not wait for an answer
            failure = BROKEN
            self._give_in()
            raise
        finally:
            self._account(failure)

    async def _place(self) -> Failure | None:
        """Bind a call that names what providers keep to where that is. Returns the refusal of another owner's."""
        engine, key, snapshot = self.engine, self.grant.virtual_key, self.call.snapshot
        placed = await engine.ownership.placed(self.call, key, snapshot)
        if isinstance(placed, Call) and is_filtered(placed, snapshot):
            self.listing = FilteredList(placed)
            placed = self.listing.first(placed)
        if isinstance(placed, Failure):
            return placed
        self.call = placed
        return None

    async def _page(self, step: Try, now: float) -> Failure | None:
        """An attempt at a list, which is read on until there is enough of the asker's own in it."""
        engine, listing, key = self.engine, self.listing, self.grant.virtual_key
        assert listing is not None
        while True:
            failure = await self._attempt(step, now)
            reception = self.reception
            if failure is not None or reception is None or reception.body is None:
                return failure
            provider, snapshot = step.choice.candidate.endpoint.name, self.call.snapshot
            following = await listing.take(self.call, reception.body, provider, engine.ownership, key, snapshot)
            if not isinstance(following, Call):
                reception.body, listing.failure = listing.body, following
                return None
            self.call, now = following, monotonic()

    def _may_shorten_now(self) -> bool:
        """Whether, before the request is refused, shorter answers are to be tried with the plan as it was."""
        if self.is_shortening or not self.may_shorten:
            return False
        self.is_shortening = True
        return True

    async def _attempt(self, step: Try, now: float) -> Failure | None:
        """Make an attempt; another where a kept-alive connection ended as the first was sent, which its provider may
        have billed. `_LEFT_OUT` when its candidate has fallen out of the plan instead."""
        failure = await self._try(step, now, wants_fresh=False)
        if failure is not None and failure.kind is failures.CONNECTION_STALE:
            failure = await self._try(step, monotonic(), wants_fresh=True)
        return failure

    async def _try(self, step: Try, now: float, *, wants_fresh: bool) -> Failure | None:
        """Between what reserves and the `try` whose end settles stands nothing that may fail."""
        engine, candidate = self.engine, step.choice.candidate
        billing = engine.billing
        plan = self.plan
        assert plan is not None
        codec = PROVIDERS[candidate.endpoint.type].codecs[self.call.operation]
        output: Output = self.exchange
        if plan.routing.response_model != "served":
            output = self.renaming = Renaming(self.exchange, self.call.model)
        reception = AnswerReceiver(self.call, codec, output, self.begin, plan.routing)
        tab = billing.tab(self.call.snapshot, self.grant.virtual_key, candidate)
        self.shortened = None
        hold, started_at = billing.hold(tab, self.call, self.request_id, self.sent + 1), now
        if not isinstance(hold, Hold):
            hold, started_at = await self._find_room(hold, tab), monotonic()
            if isinstance(hold, Reason):
                engine.accounts.lease_wait(started_at - now)
                self.plan = without(plan, candidate, Verdict(candidate.id, "billing", hold))
                return _LEFT_OUT
        self.sent += 1
        self.reception = reception
        self.chosen = candidate
        self.started_at = started_at
        try:
            if self.call.state is not None:
                reception.watch = engine.ownership.sent(self.call, tab.scope, self.request_id, step.key.name)
                reception.is_whole = self.listing is not None
            self._send(step, codec, reception, hold, started_at, wants_fresh=wants_fresh)
            if started_at != now:
                engine.accounts.lease_wait(started_at - now)
            await reception
            if wants_fresh and reception.failure is not None and reception.failure.kind is failures.CONNECTION_STALE:
                reception.failure = replace(reception.failure, kind=failures.CONNECTION_LOST)  # once is enough
            if self.call.state is not None and reception.failure is None and reception.body is not None:
                body = reception.body
                engine.ownership.answered(self.call, tab.scope, self.request_id, step.key.name, body)
        except Exception as error:  # whatever it is, the provider must not work on
            if isinstance(error, Cancelled):
                reception.failure = GONE if self.exchange.is_closed else ENDING
            else:
                reception.failure = BROKEN
            if reception.leg is not None:
                reception.leg.cancel()
            raise
        finally:
            self._settle(step, reception, hold, started_at)
        return reception.failure

    async def _find_room(self, found: Hold | Reason | list[Short], tab: Tab) -> Hold | Reason:
        """Ask control for room in the limits that have none, for as long as others may give some back; while answers
        are being shortened, for as long a one as there may be room for."""
        billing, call, shortened, shortenings = self.engine.billing, self.call, None, 0
        lessor, asked_until = billing.lessor, monotonic() + LENT_S
        while isinstance(found, list):
            if lessor is not None and not billing.is_spent(found, monotonic()):
                grants = await lessor.ask(wants(found))
                if isinstance(grants, Unable):
                    names = ", ".join(str(short.limit) for short in found)
                    message = f"how much is left of the {names} cannot be found out now: {grants.why}"
                    return Reason("budget_unavailable", message)
                billing.answered(grants, monotonic())
                found = billing.hold(tab, call, self.request_id, self.sent + 1)
                if not isinstance(found, list):
                    break
                is_lent = any(grant.lent for grant in grants)
                if is_lent and not self.is_shortening and monotonic() < asked_until:
                    await self._pause(_FOR_RECALL)
                    continue
            shortened = billing.shortened(tab, call, found, monotonic())
            if shortened is None or not self.is_shortening or shortenings == SHORTENINGS:
                self.may_shorten = self.may_shorten or shortened is not None
                return self._no_room(found)
            call, shortenings = shortened.call, shortenings + 1
            found = billing.hold(tab, call, self.request_id, self.sent + 1)
        if call is not self.call and isinstance(found, Hold):
            self.shortened = shortened
        return found

    def _no_room(self, shorts: list[Short]) -> Reason:
        billing = self.engine.billing
        if billing.may_fit(shorts):
            self.may_fit = True
        return billing.refusal(shorts)

    def _send(
        self, step: Try, codec: Codec, reception: AnswerReceiver, hold: Hold, now: float, *, wants_fresh: bool
    ) -> None:
        engine, history, candidate, upload = self.engine, self.history, step.choice.candidate, self.upload
        endpoint = candidate.endpoint
        again = bool(history) and is_repeat(candidate.id, history)
        engine.live.begin(candidate, now, is_retry=again, key=step.key, operation=self.call.operation)
        request = codec.encode(hold.call, candidate, step.key, hold.attempt, time())
        if wants_fresh:
            request = replace(request, wants_fresh=True)
        client, deadline = engine.upstreams.client(endpoint), now + step.timeout_s
        if step.head_s is not None and step.content_s is not None:
            reception.commit_by, reception.content_by = deadline, now + step.content_s
            deadline = now + step.head_s
        if upload is None:
            reception.leg = client.send(endpoint.origin, request, reception, deadline)
        else:
            length = upload.length_for(candidate.model)
            leg = client.send_streaming(endpoint.origin, request, reception, deadline, length)
            reception.leg = leg
            upload.pump(leg, candidate.model, step.timeout_s, reception.break_off)
        if self.call.head.timeout_s is not None:
            reception.leg.timeout_kind = failures.DEADLINE_EXCEEDED  # the client's hurry is not held against anyone

    def _settle(self, step: Try, reception: AnswerReceiver, hold: Hold, started_at: float) -> None:
        """Take note of an attempt that is over."""
        engine, candidate, received_at = self.engine, step.choice.candidate, self.exchange.received_at
        now = monotonic()
        duration_s = now - started_at
        self.started_at = None
        self.waited_s += duration_s
        first_byte_at, failure = reception.first_byte_at, reception.failure
        charge = engine.billing.settle(hold, reception, failure)
        self.cost_nano += charge.nano
        if charge.source is _ESTIMATED:
            self.estimated_nano += charge.nano
        elif charge.source is _RESERVED:
            self.reserved_nano += charge.nano
        outcome = "ok"
        if failure is not None:
            failure = reception.failure = redact(failure, step.key.credential, candidate.endpoint.origin)
            outcome = failure.kind.code
            name, model, key = candidate.endpoint.name, candidate.model, step.key.name
            if failure.kind is not failures.CONNECTION_STALE:
                self.history += (PastAttempt(candidate.id, name, model, key, started_at, now, failure),)
        engine.live.finish(candidate, step.key, failure, now, began_at=started_at, operation=self.call.operation)
        first_byte_s = first_byte_at - started_at if first_byte_at is not None else None
        max_tokens = self._note_shortened(candidate) if self.shortened is not None else None
        engine.accounts.attempt(candidate, outcome, duration_s, first_byte_s, charge)
        record = AttemptRecord(
            provider=candidate.endpoint.name,
            model=candidate.model,
            key=step.key.name,
            outcome=outcome,
            start_us=int((started_at - received_at) * 1e6),
            duration_us=int(duration_s * 1e6),
        )
        record.status = reception.status
        if first_byte_at is not None:
            record.first_byte_us = int((first_byte_at - received_at) * 1e6)
        if failure is not None:
            record.message = failure.message
            record.retry_after_s = failure.retry_after_s
        record.cost_nano = charge.nano
        record.usage_source = _SOURCES[charge.source]
        record.tokens_in = charge.usage.tokens_in
        record.tokens_out = charge.usage.tokens_out
        record.max_tokens = max_tokens
        record.held_nano = charge.held
        record.events_left_out = reception.left_out
        self.records += (record,)

    def _note_shortened(self, candidate: Candidate) -> int | None:
        """Put into the decision why an answer is shorter than was asked for. Returns its bound."""
        plan, shortened = self.plan, self.shortened
        assert plan is not None
        assert shortened is not None
        self.plan = replace(plan, verdicts=(*plan.verdicts, Verdict(candidate.id, "billing", shortened.reason)))
        return shortened.call.max_tokens

    async def _pause(self, step: Await) -> None:
        elapsed: Waiter[None] = Waiter()
        timer = asyncio.get_running_loop().call_later(step.delay_s, elapsed.set, None)
        began_at = monotonic()
        try:
            await elapsed
        finally:
            timer.cancel()
            self.waited_s += monotonic() - began_at

    def begin(self, status: int, headers: Headers, length: int | None) -> None:
        """Start a streamed answer: the moment of commit."""
        self.status = status
        self.exchange.on_drain = self._drained
        if self.renaming is not None:
            self.renaming.begin(headers, length)
        is_stream = self.reception is not None and self.reception.is_stream
        self.exchange.start(status, provider_lines(headers, is_stream=is_stream) + self._lines(), length)

    def _send_whole(self) -> Failure | None:
        """Send what is still to be sent of a good answer. Returns why there is none after all."""
        reception = self.reception
        if self.listing is not None and self.listing.failure is not None:
            self._refuse(GiveUp(self.listing.failure))
            return self.listing.failure
        if reception is not None and reception.body is not None:
            self.status, body = reception.status or 200, reception.body
            if self.renaming is not None:
                body = self.renaming.whole(reception.headers, body)
            lines = provider_lines(reception.headers, is_stream=reception.is_stream) + self._lines()
            self.exchange.send(self.status, lines, body)
        return None

    def _refuse(self, step: GiveUp) -> None:
        """Tell the client that nothing came of the request."""
        failure = step.failure
        self.status = status_of(failure)
        self.shortened = None  # the attempt was, this answer is not
        should_retry = step.should_retry if self.records else None
        dialect = DIALECTS[self.call.head.dialect]
        lines = dialect.error_headers(failure, should_retry=should_retry) + self._lines()
        self.exchange.send(self.status, lines, dialect.error_body(failure, self.request_id))

    def _leave(self) -> Failure:
        """The request was cancelled: by its client, or by the gateway, which then says so. Returns why."""
        if self.exchange.is_closed:
            self.status = GONE.kind.status
            return GONE
        if self.exchange.is_started:
            self._break_off(ENDING)
        else:
            is_kept = self.plan is not None and self.plan.pinned and bool(self.records)
            self._refuse(GiveUp(ASK_AGAIN, should_retry=not is_kept))  # what an account keeps may be there already
        return ENDING

    def _give_in(self) -> None:
        """An error of the gateway's own: end the answer so that nobody waits for it or takes it for whole."""
        if self.exchange.is_started:
            self.exchange.abort()
        else:
            self._refuse(GiveUp(BROKEN))

    def _break_off(self, failure: Failure) -> None:
        """An answer broke off after its commit: say so in the client's dialect, or cut the connection."""
        event = self.reception.error_event(failure, self.request_id) if self.reception is not None else None
        if event is not None:
            self.exchange.write(event)
            self.exchange.end()
        else:
            self.exchange.abort()

    def _lines(self) -> bytes:
        now = monotonic()
        own_s, count = now - self.exchange.received_at - self.waited_s, len(self.records)
        if self.started_at is None:
            cost_nano: int | None = self.cost_nano
        else:  # the attempt in progress, at its commit
            own_s -= now - self.started_at
            count += 1
            cost_nano = None
        max_tokens = self.shortened.call.max_tokens if self.shortened is not None else None
        lines = self.lines + answer_lines(self.request_id, self.chosen, count, own_s, cost_nano, max_tokens)
        engine, key, snapshot = self.engine, self.grant.virtual_key, self.call.snapshot
        if snapshot.limit_headers and key is not None:
            lines += engine.remains.lines(engine.billing, snapshot, key, self.chosen)
        return lines

    def _drained(self) -> None:
        if self.reception is not None:
            self.reception.on_drain()

    def _account(self, failure: Failure | None) -> None:
        """Count and log the request, whatever became of it. Ends the request's hold on its parts."""
        exchange, call, plan, key, chosen = self.exchange, self.call, self.plan, self.grant.virtual_key, self.chosen
        # Otherwise the parts would refer to each other in circles and keep the garbage collector busy.
        exchange.on_cancel = exchange.on_drain = None
        reception, self.reception = self.reception, None
        ended_at = monotonic()
        total_s = ended_at - exchange.received_at
        record = RequestRecord(
            time=time(),
            request_id=self.request_id,
            method=call.head.method,
            path=logged_path(exchange.head.path),
            status=self.status,
            duration_us=int(total_s * 1e6),
            gateway_us=int((total_s - self.waited_s) * 1e6),
        )
        if failure is not None:
            record.code = failure.kind.code
            record.message = failure.message
        record.operation = call.operation
        record.model = call.model
        record.dialect = call.head.dialect
        record.stream = call.stream
        if key is not None:
            record.virtual_key = key.name
            record.team = key.team
            record.customer = key.customer
            record.labels = key.labels
        if chosen is not None:
            record.variant = chosen.variant
        if plan is not None:
            record.strategy = plan.strategy
            record.source = plan.source
            if plan.verdicts:
                record.verdicts = _verdicts(plan)
        if self.records:
            last = self.records[-1]
            record.provider = last.provider
            record.upstream_model = last.model
            record.key = last.key
            record.attempts = self.records
            record.cost_nano = self.cost_nano
            record.estimated_nano = self.estimated_nano
            record.reserved_nano = self.reserved_nano
        if reception is not None:
            note_answer(record, reception, exchange.received_at, ended_at)
        record.bytes_in = call.size
        record.session = call.head.session
        record.tags = call.head.tags
        record.client_request_id = client_request_id(exchange.head)
        record.client = client_of(exchange, call.snapshot.access)
        record.client_retries = client_retries(exchange.head)
        self.engine.accounts.request(record)


_LEFT_OUT = Failure(failures.NO_TARGET, "the candidate was left out")
BROKEN = Failure(failures.INTERNAL, "the gateway failed; see its log")
GONE = Failure(failures.CLIENT_GONE, "the client disconnected")
ENDING = Failure(failures.SHUTTING_DOWN, "the gateway is shutting down and could not wait for the end of the answer")
ASK_AGAIN = replace(ENDING, retry_after_s=1.0)


def _verdicts(plan: Plan) -> tuple[str, ...]:
    return tuple(f"{verdict.candidate}: {verdict.reason.message}" for verdict in plan.verdicts)


def logged_path(path: bytes) -> str:
    """The path of a request as it is logged: without its query, which may hold what a log should not."""
    return _path_text(path[:256])


@lru_cache(maxsize=4096)  # of paths
def _path_text(path: bytes) -> str:
    return path.decode("ascii", "replace")


def client_of(exchange: Exchange, access: Access) -> str:
    """The client's address, as far as trusted proxies tell."""
    return client_address(exchange.peer, exchange.head.headers.get(b"x-forwarded-for"), access)


def client_retries(head: Head) -> str | None:
    """How often the client says it has tried before: OpenAI's SDKs count."""
    value = head.headers.get(b"x-stainless-retry-count")
    return value[:16].decode("latin-1") if value and value != b"0" else None


def client_request_id(head: Head) -> str | None:
    """The client's own id, which is only logged."""
    value = head.headers.get(b"x-request-id")
    return value[:128].decode("latin-1") if value else None
