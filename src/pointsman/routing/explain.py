"""A plan as data and as text. Headers, logs and the command line print only this."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from pointsman.domain.dollars import dollars
from pointsman.domain.failures import Failure
from pointsman.domain.limits import Metric
from pointsman.domain.plans import HedgeTerms, Plan
from pointsman.domain.records import RequestRecord
from pointsman.domain.rules import RuleStep, RuleTrace
from pointsman.domain.snapshots import FALLBACK_CAUSES, Hedging, Mirror, Racing
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Verdict

Bound = tuple[int | None, int]  # of an attempt, in nano-dollars, if its price is known, and in tokens


class LimitUse(Struct, frozen=True):
    """A limit that a decision consulted, in words, and its used amount in units of its metric, if known."""

    limit: str
    metric: Metric
    amount: int
    used: int | None


class Consulted(Struct, frozen=True):
    """The amounts that a decision depends on: the most that an attempt at each candidate can cost, in nano-dollars
    (`None` if its price is unknown) and in tokens, by the candidates' ids, and the use of limits. `prices` are the
    sources of their prices, such as `pricing.overrides`, `overlay` or `catalog`."""

    bounds: dict[str, Bound] = {}
    prices: dict[str, str] = {}
    limits: tuple[LimitUse, ...] = ()


_NOTHING = Consulted()
_USUAL = ("", "catalog", "pricing.overrides")  # sources of prices that go without saying
_EMPTY = '""'  # the text of a fact that a request does not have
NOTED = ("shortened", "counted")  # the codes of reasons that exclude nobody


def as_data(decision: Plan | Failure, now: float, consulted: Consulted = _NOTHING) -> dict[str, object]:
    """Return the decision as JSON-ready data."""
    if isinstance(decision, Failure):
        return {
            "refused": {
                "code": decision.kind.code,
                "status": decision.kind.status,
                "message": decision.message,
            },
            **_rules_data(decision.rules),
            "requirements": [{"requirement": str(one), "origin": one.origin} for one in decision.require],
            "verdicts": [_verdict_data(verdict) for verdict in decision.verdicts],
            "limits": [limit_data(one) for one in consulted.limits],
        }
    return {
        **_rules_data(decision.rules),
        "strategy": decision.strategy,
        "source": decision.source,
        "notes": list(decision.notes),
        "requirements": [{"requirement": str(one), "origin": one.origin} for one in decision.require],
        "deadline_s": round(decision.deadline - now, 3),
        "max_attempts": decision.max_attempts,
        **_duplicates_data(decision),
        "attempts": [
            {
                "provider": choice.candidate.endpoint.name,
                "model": choice.candidate.model,
                "keys": [key.name for key in choice.keys],
                "weight": choice.candidate.weight,
                "variant": choice.candidate.variant,
                "provenance": choice.candidate.provenance,
                "after": _causes(choice.candidate),
                **_bound_data(consulted.bounds.get(choice.candidate.id)),
                **_price_data(consulted.prices.get(choice.candidate.id, "")),
            }
            for choice in (*decision.choices, *decision.instead)
        ],
        "verdicts": [_verdict_data(verdict) for verdict in decision.verdicts],
        "limits": [limit_data(one) for one in consulted.limits],
    }


def recorded_data(record: RequestRecord) -> dict[str, object]:
    """Return the decision that a record has, in the form of `as_data`. It lacks what the configuration says of the
    attempts, and the use of limits; the values of facts are texts."""
    rules = _rules_data(_trace_of(record))
    if record.strategy is None:
        refused = {"code": record.code, "status": record.status, "message": record.message}
        return {"refused": refused, **rules, **_judged(record)} if record.code is not None else rules
    bounds = _bounds_of(record)
    return {
        **rules,
        "strategy": record.strategy,
        "source": record.source,
        "notes": list(record.notes),
        **_judged(record),
        "attempts": [
            {"provider": name.partition("/")[0], "model": name.partition("/")[2], **_bound_data(bounds.get(name))}
            for name in _order_of(record)
        ],
    }


def _judged(record: RequestRecord) -> dict[str, object]:
    """Return the requirements of a request, and the verdicts on its candidates."""
    return {
        "requirements": [{"requirement": text, "origin": origin} for text, origin in record.require.items()],
        "verdicts": [
            {"candidate": name, "policy": policy, "code": code, "message": message, "last_resort": is_last}
            for name, policy, code, message, is_last in _verdicts_of(record)
        ],
    }


def recorded_lines(record: RequestRecord) -> list[str]:
    """Return the decision that a record has as lines, in the form of `as_lines`."""
    lines = _rules_lines(_trace_of(record))
    if record.strategy is None:
        return [*lines, _rejected(record.status, record.code, record.message or "")] if record.code else lines
    lines.append(f"strategy {record.strategy}, from {record.source}")
    lines += [f"   {note}" for note in record.notes]
    lines += [f"   requires {text}, from {origin}" for text, origin in record.require.items()]
    bounds = _bounds_of(record)
    for number, name in enumerate(_order_of(record), 1):
        bound = bounds.get(name)
        lines.append(f"{number:3}. {name}{f'  ({_bound_text(bound)})' if bound is not None else ''}")
    return [*lines, *[_verdict_line(*verdict) for verdict in _verdicts_of(record)]]


def _trace_of(record: RequestRecord) -> RuleTrace | None:
    """Return the evaluation of the rules as it was stored."""
    if not record.rules and record.rule_facts is None:
        return None
    matched = tuple(record.rule.split(", ")) if record.rule else ()
    exceptions = tuple([RuleStep(*problem.split(": ", 2)) for problem in record.rule_problems])
    facts = record.rule_facts or {}
    return RuleTrace(matched, record.rules or matched, dict(facts), facts, exceptions)


def _order_of(record: RequestRecord) -> Sequence[str]:
    """Return the candidates in their order, without those that a limit excluded later. Without a stored order there was
    only a single candidate."""
    tried = dict.fromkeys(f"{one.provider}/{one.model}" for one in record.attempts)
    excluded = {
        name
        for name, policy, code, _, is_last in _verdicts_of(record)
        if policy == "billing" and not is_last and code not in NOTED and name not in tried
    }
    return [name for name in record.order if name not in excluded] or list(tried)


def _bounds_of(record: RequestRecord) -> dict[str, Bound]:
    """Return the reservation of the last attempt at each candidate. Records of older versions have none."""
    return {
        f"{one.provider}/{one.model}": (one.most_nano, one.most_tokens)
        for one in record.attempts
        if one.most_nano is not None or one.most_tokens
    }


def _verdicts_of(record: RequestRecord) -> Iterator[tuple[str, str, str, str, bool]]:
    """Yield the candidate, policy, code and message of each verdict, and whether it is a last resort. Records of older
    versions have no policies."""
    policies = record.verdict_policies or ("",) * len(record.verdicts)
    codes = record.verdict_codes or ("",) * len(record.verdicts)
    for text, policy, code in zip(record.verdicts, policies, codes, strict=False):
        name, _, message = text.partition(": ")
        yield name, policy, code, message, name in record.last_resorts


def _verdict_data(verdict: Verdict) -> dict[str, object]:
    return {
        "candidate": verdict.candidate,
        "policy": verdict.policy,
        "code": verdict.reason.code,
        "message": verdict.reason.message,
        "last_resort": verdict.reason.is_last_resort,
    }


def _rules_data(trace: RuleTrace | None) -> dict[str, object]:
    if trace is None:
        return {}
    steps = [{"rule": step.rule, "result": step.result, "message": step.message or None} for step in trace.steps()]
    return {"rules": steps, "facts": trace.facts}


def _duplicates_data(plan: Plan) -> dict[str, object]:
    found: dict[str, object] = {}
    terms = plan.hedging
    if terms is not None and (settings := terms.settings) is not None:
        delay = {"after_s": settings.after_s} if settings.after_s is not None else {"percentile": settings.percentile}
        found["hedge"] = {**delay, "share": settings.share}
    if terms is not None and terms.racing is not None:
        found["race"] = {"share": terms.racing.share, "probe": plan.probe if terms.race_s is not None else None}
    if plan.mirror is not None:
        found["mirror"] = {"to": plan.mirror.to, "share": plan.mirror.share}
    return found


def describe_hedging(settings: Hedging) -> str:
    """Return the policy for a second attempt beside a slow one, in words."""
    if settings.after_s is not None:
        delay = f"after {settings.after_s:g} s"
    else:
        delay = f"once it takes longer than {settings.percentile:g} % of recent answers"
    return f"a slow attempt gets a rival {delay}, for at most {100 * settings.share:g} % of the requests"


def describe_racing(racing: Racing) -> str:
    """Return the policy for probes beside the first attempt, in words."""
    share = f"{100 * racing.share:g} % of the requests"
    return f"a target to find out about gets the request beside the best one, for at most {share}"


def describe_mirror(mirror: Mirror) -> str:
    """Return the copy of a request that its mirror gets, in words."""
    return f"a copy goes to {mirror.to} after the answer, as for {100 * mirror.share:g} % of the requests"


def _bound_data(bound: Bound | None) -> dict[str, object]:
    return {} if bound is None else {"most_nano": bound[0], "most_tokens": bound[1]}


def _price_data(source: str) -> dict[str, object]:
    return {"price_from": source} if source else {}


def limit_data(use: LimitUse) -> dict[str, object]:
    return {"limit": use.limit, "metric": use.metric, "amount": use.amount, "used": use.used}


def as_lines(decision: Plan | Failure, now: float, consulted: Consulted = _NOTHING) -> list[str]:
    """Return the decision as lines for a person to read."""
    rules = _rules_lines(decision.rules)
    limits_used = [_limit_line(one) for one in consulted.limits]
    if isinstance(decision, Failure):
        return [
            *rules,
            _rejected(decision.kind.status, decision.kind.code, decision.message),
            *limits_used,
        ]
    limits = f"at most {decision.max_attempts} attempts within {decision.deadline - now:g} s"
    lines = [*rules, f"strategy {decision.strategy}, from {decision.source}; {limits}"]
    lines += [f"   {note}" for note in decision.notes]
    lines += [f"   requires {one}, from {one.origin}" for one in decision.require]
    if decision.hedging is not None:
        lines += [f"   {line}" for line in _duplicates_lines(decision, decision.hedging)]
    if decision.probe and (decision.hedging is None or decision.hedging.race_s is None):
        lines.append(f"   {decision.probe} is tried first, to find out how it is now")
    if decision.mirror is not None:
        lines.append(f"   {describe_mirror(decision.mirror)}")
    for number, choice in enumerate(decision.choices, 1):
        item = choice.candidate
        notes = [f"weight {item.weight:g}", item.provenance]
        if item.after:
            notes.append(describe_causes(item))
        if item.variant:
            notes.append(f"variant {item.variant}")
        bound = consulted.bounds.get(item.id)
        if bound is not None:
            notes.append(_bound_text(bound))
        if (source := consulted.prices.get(item.id, "")) not in _USUAL:
            notes.append(f"price from the {source}")
        keys = ", ".join(key.name for key in choice.keys)
        lines.append(f"{number:3}. {item.id}  ({', '.join(notes)}; keys {keys})")
    lines += [f"   - {choice.candidate.id} if a budget has no room" for choice in decision.instead]
    for verdict in decision.verdicts:
        reason = verdict.reason
        lines.append(
            _verdict_line(verdict.candidate, verdict.policy, reason.code, reason.message, is_last=reason.is_last_resort)
        )
    return [*lines, *limits_used]


def _duplicates_lines(plan: Plan, terms: HedgeTerms) -> Iterator[str]:
    if terms.settings is not None:
        yield describe_hedging(terms.settings)
    if terms.race_s is not None:
        yield f"{plan.probe} gets the request at once beside the best one, to find out how it is now"
    elif terms.racing is not None:
        yield describe_racing(terms.racing)


def _rejected(status: int, code: str | None, message: str) -> str:
    return f"rejected: {status} {code}: {message}"


def _bound_text(bound: Bound) -> str:
    cost = dollars(bound[0]) if bound[0] is not None else "an unknown cost"
    return f"at most {cost} and {bound[1]} tokens"


def _verdict_line(candidate: str, policy: str, code: str, message: str, is_last: bool) -> str:
    effect = code if code in NOTED else "last resort" if is_last else "excluded"
    return f"   - {candidate} {effect}{f' ({policy})' if policy else ''}: {message}"


def _rules_lines(trace: RuleTrace | None) -> list[str]:
    if trace is None:
        return []
    lines = [f"rule {step.rule}: {step.result}{f': {step.message}' if step.message else ''}" for step in trace.steps()]
    facts = ", ".join(f"{name} = {text or _EMPTY}" for name, text in trace.texts.items())
    return [*lines, f"   facts: {facts}"] if facts else lines


def _limit_line(use: LimitUse) -> str:
    if use.used is None:
        return f"   the used amount of the {use.limit} is unknown"
    used = dollars(use.used) if use.metric == "usd" else str(use.used)
    share = f" ({100 * use.used / use.amount:.0f} %)" if use.amount else ""
    return f"   {used}{share} used of the {use.limit}"


def describe_causes(item: Candidate) -> str:
    """Return the failures that a candidate is a fallback for."""
    only = "only" if item.provenance == "fallback" else "also"
    return f"{only} after: {', '.join(_causes(item))}"


def _causes(item: Candidate) -> list[str]:
    return [cause for cause in FALLBACK_CAUSES if cause in item.after]
