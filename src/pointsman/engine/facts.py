"""Facts of a request that a decision must wait for."""

from time import monotonic, time

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.plans import Plan
from pointsman.engine.answer import ClientAnswer
from pointsman.engine.engine import Engine
from pointsman.engine.live import Live
from pointsman.engine.media import can_fetch, fetched
from pointsman.engine.tasks import Bell
from pointsman.money.usage import UsedAmounts
from pointsman.routing.decide import decide
from pointsman.routing.router import router_of

# An answer takes a few milliseconds, or as long as the slowest worker's loop is busy.
WITHIN_S = 0.2
_FINAL = frozenset({Fault.REQUEST, Fault.CLIENT})  # after them, no other candidate would serve


async def decide_by_rules(engine: Engine, answer: ClientAnswer, call: Call, view: Live, now: float) -> Plan | Failure:
    """Decide on a request with the facts that rules read. If the used amount of a limit is read for the first time,
    ask control for it and decide again."""
    client = answer.client_address() if router_of(call.snapshot).rulebook.reads_client else ""
    facts = Facts(call, answer.log.key, time(), client)
    plan = decide(facts, view, engine.rng, now)
    amounts = engine.amounts
    if amounts is not None and amounts.missed and not view.is_cut_off:
        await answered(amounts)
        plan = decide(facts, view, engine.rng, now)
    return plan


async def decide_with_media(
    engine: Engine, answer: ClientAnswer, call: Call, refused: Failure
) -> tuple[Call, Plan | Failure]:
    """Fetch the media of a call that no provider can serve now, but some perhaps by their content, and decide again.
    Return the call and the failure as they are if that does not help."""
    found = await fetched(engine.upstreams, call) if can_fetch(call, refused.verdicts) else None
    if isinstance(found, Call):
        return found, await _decide_anew(engine, answer, found)
    is_cause = isinstance(found, Failure) and refused.kind is failures.NOT_SUPPORTED
    return call, found if found is not None and is_cause else refused


async def plan_with_media(engine: Engine, answer: ClientAnswer, call: Call, plan: Plan) -> tuple[Call, Plan] | None:
    """Fetch the media of a call whose plan has failed so far, and decide again: with their content, candidates may
    serve that take no addresses. Return `None` if that does not help. The time limits of the plan stay."""
    log = answer.log
    last = log.history[-1].failure if log.history else None
    is_over = last is not None and last.kind.fault in _FINAL
    if is_over or log.has_fetched or log.running or log.continuation is not None or monotonic() >= plan.deadline:
        return None
    if not can_fetch(call, plan.verdicts):
        return None
    log.has_fetched = True
    found = await fetched(engine.upstreams, call)
    anew = await _decide_anew(engine, answer, found) if isinstance(found, Call) else None
    if not isinstance(found, Call) or not isinstance(anew, Plan):
        return None
    log.plan = replace(anew, deadline=plan.deadline, made_at=plan.made_at, hedging=None, mirror=None)
    log.excluded = ()
    return anew.call or found, log.plan


async def _decide_anew(engine: Engine, answer: ClientAnswer, call: Call) -> Plan | Failure:
    live, snapshot, now = engine.live, call.snapshot, monotonic()
    view = live if live.snapshot is snapshot else live.with_snapshot(snapshot)
    if snapshot.rules or snapshot.logged_facts:
        return await decide_by_rules(engine, answer, call, view, now)
    return decide(Facts(call, answer.log.key, time()), view, engine.rng, now)


async def answered(amounts: UsedAmounts) -> None:
    """Wait until control has answered for the used amounts that decisions have missed, for at most `WITHIN_S`. Forget
    those that control did not answer for: the next decision that reads them waits again."""
    bell, ends_at = Bell(), monotonic() + WITHIN_S
    amounts.on_answer[bell] = bell.ring
    try:
        missed = frozenset(amounts.missed)
        while not missed.isdisjoint(amounts.missed) and (left_s := ends_at - monotonic()) > 0:
            await bell.within(left_s)
        amounts.missed -= missed
    finally:
        del amounts.on_answer[bell]
