"""One run of a simulated world: the production core under a virtual clock.

The plan of each request comes from `decide`, and its steps from `next_step`. A worker's `Live` learns from every start
and end of an attempt, exactly as in the engine (`engine.run_plan`, `engine.attempt`). Only providers, clients and the
clock are simulated. The same scenario, router and seed give the same run.
"""

from collections.abc import Sequence
from hashlib import sha256
from math import inf

from msgspec import structs

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Await, GiveUp, Hedge, NextRound, Plan, Race, Try
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.simulate.worlds.agenda import Agenda
from pointsman.simulate.worlds.contender import DEADLINE_S, Contender
from pointsman.simulate.worlds.lessons import learn, note_quota, tell_policy
from pointsman.simulate.worlds.physics import UNIX, Service
from pointsman.simulate.worlds.results import Run, Served
from pointsman.simulate.worlds.worker import Attempt, Request, Worker
from pointsman.simulate.worlds.workers import Workers
from pointsman.simulate.worlds.world import Arrival, Scenario

_CONNECT_AGAIN_S = 1.0  # a client of a lost worker
_LEAST_WAIT_S = 0.001  # a shorter one may be too small to move the clock
_LATE = Failure(failures.COMMIT_TIMEOUT, "no content in time")
_SUPERSEDED = Failure(failures.SUPERSEDED, "another attempt answered first")
_HEAD = RequestHead(path="/chat/completions")


class UnknownTargetError(Exception):
    """A rule or a budget sent a request to a target that the world does not have."""


class Simulation:
    """One run of one router. `arrivals` are the requests, in order."""

    def __init__(self, scenario: Scenario, contender: Contender, seed: int, arrivals: Sequence[Arrival]) -> None:
        self._agenda = Agenda()
        self.seed = seed
        self._model = contender.model
        self.services = [Service(one, scenario.faults, place) for place, one in enumerate(scenario.providers)]
        self.workers = Workers(scenario, contender, self.services, seed, self._agenda)
        self._decisions = sha256()
        self._at = self._agenda.at
        self._records = [Served(one.at, one.stream) for one in arrivals]
        for index, one in enumerate(arrivals):
            self._at(one.at, self._arrive, Request(index, one))
        for at in self.workers.changes:
            self._at(at, self._change_workers)

    @property
    def now(self) -> float:
        return self._agenda.now

    def run(self) -> Run:
        """Play all events. Return the requests as they were served."""
        self._agenda.play()
        return Run(self._records, self._decisions.hexdigest())

    def _change_workers(self) -> None:
        """Carry out a change of the workers: new prices, or a lost worker."""
        for request in self.workers.change(self.now):
            for attempt in request.running:
                attempt.is_over = True
                attempt.route.service.running -= 1
                self._charge(attempt, _SUPERSEDED)
            if not request.is_done:
                again = Request(request.index, request.arrival, f"{request.name}r")
                self._at(self.now + _CONNECT_AGAIN_S, self._arrive, again)

    def _arrive(self, request: Request) -> None:
        """Decide on a request."""
        arrival, now = request.arrival, self.now
        worker = request.worker = self.workers.of(request.index)
        if now - arrival.at > DEADLINE_S - 1:
            self._give_up(request)
            return
        if worker.ranked is not None:
            wait_s = worker.ranked.policy.wait_s(arrival, now)
            if wait_s > 0:
                self._at(now + max(wait_s, _LEAST_WAIT_S), self._arrive, request)
                return
            worker.ranked.request = arrival
        live = worker.live
        request.call = Call(
            operation="chat", head=_HEAD, snapshot=live.snapshot, model=self._model,
            size=4 * arrival.tokens_in, stream=arrival.stream,
        )  # fmt: skip
        plan = decide(Facts(request.call, None, UNIX + now), live, worker.rng, now)
        if isinstance(plan, Failure):
            self._give_up(request)
            return
        request.plan = plan
        worker.requests[request.index] = request
        self._advance(request)

    def _wake(self, request: Request, wakes: int, step: Await | NextRound) -> None:
        """Go on after a wait, unless something else has happened meanwhile."""
        if request.wakes != wakes or request.is_done or request.worker is None or not request.worker.is_up:
            return
        if isinstance(step, NextRound):
            request.progress.excluded, request.progress.accepts_shorter = (), step.accepts_shorter
        else:
            request.progress.due = step.then
        self._advance(request)

    def _advance(self, request: Request) -> None:
        """Carry out the next steps of a request, as `engine.run_plan` does."""
        worker, plan, progress = request.worker, request.plan, request.progress
        assert worker is not None
        assert plan is not None
        request.wakes += 1
        while True:
            step = next_step(plan, progress, worker.live, self.now)
            progress.due = None
            if isinstance(step, Try):
                name = f"{request.name}-{request.attempts + 1}"
                exclusion = worker.reserve(name, step, request.arrival, UNIX + self.now)
                if exclusion is not None and request.running:
                    plan = request.plan = structs.replace(plan, hedging=None)  # a rival never waits for room
                    return
                if exclusion is not None:
                    progress.excluded += (exclusion,)
                    continue
                self._start(request, step, name)
                if plan.hedging is None:
                    return
            elif isinstance(step, GiveUp):
                self._give_up(request)
                return
            else:
                if step.delay_s < inf:
                    self._at(self.now + step.delay_s, self._wake, request, request.wakes, step)
                return

    def _start(self, request: Request, step: Try, name: str) -> None:
        worker, plan, call, now = request.worker, request.plan, request.call, self.now
        assert worker is not None
        assert plan is not None
        assert call is not None
        item, key, record = step.choice.candidate, step.key, self._records[request.index]
        route = worker.routes.get((item.id, key.name))
        if route is None:
            raise UnknownTargetError(f"{item.id} with the key {key.name!r} is not part of the simulated world")
        service = route.service
        attempt = Attempt(request, step, route, now, name)
        worker.live.begin(item, now, is_retry=step.is_repeat, key=key, operation=call.operation, call=call)
        record.attempts += 1
        request.attempts += 1
        is_rival = isinstance(step, Hedge)
        if record.attempts == 1:
            record.first, record.key = service.spec.name, key.name
        if worker.ranked is not None:
            worker.ranked.policy.started(worker.ranked.places[item.id], now)
        elif plan.learns and worker.live.paces.observes(plan, item, name, now, key=key):
            running = worker.live.in_progress[item.id]
            attempt.tried = worker.live.paces.started(plan, item, call, name, now, key=key, running=running)
        if plan.hedging is not None:
            worker.live.hedges.count_attempt(plan.hedging, plan.model, step, is_first=request.attempts == 1)
        record.duplicates += is_rival
        self._decisions.update(f"{request.index} {item.id} {key.name} {type(step).__name__}\n".encode())
        request.running.append(attempt)
        request.progress.running = request.running
        service.running += 1
        nth = request.tries[service.place] = request.tries.get(service.place, 0) + 1
        luck = ((self.seed * 1_000_003 + request.index) * 64 + service.place) * 64 + nth
        outcome = attempt.outcome = route.attempt(now, request.arrival, luck)
        until = now + self._limit_s(worker, plan, step, now)
        commit_at = outcome.content_at if call.stream or outcome.failure is not None else outcome.ends_at
        if commit_at > until:
            self._at(until, self._fail, attempt, _LATE)
        elif outcome.failure is not None:
            self._at(commit_at, self._fail, attempt, outcome.failure)
        else:
            self._at(commit_at, self._commit, attempt)

    @staticmethod
    def _limit_s(worker: Worker, plan: Plan, step: Try, now: float) -> float:
        """Return the longest time of an attempt to its commit. A policy has the limits of its product."""
        limit_s = step.timeout_s
        if worker.ranked is not None:
            limit_s = min(worker.ranked.policy.attempt_s, plan.deadline - now)
            patience_s = plan.patience.get(step.choice.candidate.id, inf)
            return limit_s if step.content_s is None else min(limit_s, patience_s)
        if step.content_s is not None:
            limit_s = min(limit_s, step.content_s)
        return limit_s

    def _commit(self, attempt: Attempt) -> None:
        """The first content of a stream has come, or the whole of another answer."""
        if attempt.is_over:
            return
        request, now = attempt.request, self.now
        worker, record, outcome = request.worker, self._records[request.index], attempt.outcome
        assert worker is not None
        assert outcome is not None
        attempt.content_at = now
        note_quota(worker, attempt, now)
        if request.is_done:  # the probe of a race, beaten by another attempt
            self._close(attempt, _SUPERSEDED)
            return
        if request.arrival.stream:
            worker.live.begin_answer(attempt.step.choice.candidate, now)
            if attempt.tried is not None:
                worker.live.paces.content(attempt.tried, now)
        if worker.ranked is not None:
            place = worker.ranked.places[attempt.step.choice.candidate.id]
            worker.ranked.policy.answered(place, request.arrival, now - attempt.started_at, now)
        request.is_done = True
        record.ttft_s = min(now - request.arrival.at, DEADLINE_S)
        record.provider, record.is_served = attempt.route.service.spec.name, record.ttft_s < DEADLINE_S
        for other in request.running[:]:
            if other is not attempt:
                self._lose(other)
        if request.arrival.stream:
            self._at(outcome.ends_at, self._finish, attempt)
        else:
            self._finish(attempt)

    def _finish(self, attempt: Attempt) -> None:
        """The answer has ended."""
        if not attempt.is_over:
            self._close(attempt, None)
            for other in attempt.request.running[:]:
                self._close(other, _SUPERSEDED)

    def _lose(self, attempt: Attempt) -> None:
        """End an attempt, since another one answers, or let it go on to its first content, as `Attempt.lose` does."""
        terms = attempt.request.plan.hedging if attempt.request.plan is not None else None
        race_s = terms.race_s if terms is not None and isinstance(attempt.step, Race) else None
        is_observed = attempt.tried is not None and not attempt.has_content
        if race_s is not None and attempt.request.arrival.stream and is_observed:
            self._at(max(self.now, attempt.started_at + race_s), self._fail, attempt, _SUPERSEDED)
        else:
            self._close(attempt, _SUPERSEDED)

    def _fail(self, attempt: Attempt, failure: Failure) -> None:
        """An attempt has failed before its commit."""
        if attempt.is_over:
            return
        request = attempt.request
        is_beaten = request.is_done and failure is _LATE
        self._close(attempt, _SUPERSEDED if is_beaten else failure)
        if not request.is_done:
            self._advance(request)

    def _close(self, attempt: Attempt, failure: Failure | None) -> None:
        """Charge an attempt that has ended, and let the worker learn from it, as `Attempt.settle` does."""
        request, step, now = attempt.request, attempt.step, self.now
        worker, plan = request.worker, request.plan
        assert worker is not None
        assert plan is not None
        attempt.is_over = True
        attempt.route.service.running -= 1
        request.running.remove(attempt)
        if not request.running:
            worker.requests.pop(request.index, None)
        self._charge(attempt, failure)
        if failure is not None:
            item = step.choice.candidate
            self._records[request.index].limited += failure.kind is failures.UPSTREAM_RATE_LIMITED
            past = PastAttempt(
                item.id, item.endpoint.name, item.model, step.key.name,
                started_at=attempt.started_at, ended_at=now, failure=failure,
            )  # fmt: skip
            request.progress.history += (past,)
            if attempt.outcome is not None and attempt.outcome.failure is failure:
                note_quota(worker, attempt, now)
        if worker.ranked is not None:
            tell_policy(worker, attempt, failure, now)
        learn(worker.live, plan, attempt, failure, now)

    def _charge(self, attempt: Attempt, failure: Failure | None) -> None:
        """Charge an attempt that has ended: all of an answer, or the prompt if one was being made."""
        request, outcome = attempt.request, attempt.outcome
        worker, arrival = request.worker, request.arrival
        assert worker is not None
        assert outcome is not None
        tokens_out = arrival.tokens_out if failure is None else 0
        if failure is None or (outcome.failure is None and outcome.content_at < inf):
            usd = attempt.route.dollars(attempt.started_at, arrival.tokens_in, tokens_out)
            self._records[request.index].usd += usd
            worker.settle(attempt.name, usd, arrival.tokens_in + tokens_out)
        else:
            worker.settle(attempt.name, 0.0, 0)

    def _give_up(self, request: Request) -> None:
        request.is_done = True
        if request.worker is not None:
            request.worker.requests.pop(request.index, None)
        record = self._records[request.index]
        record.ttft_s, record.is_served = DEADLINE_S, False
