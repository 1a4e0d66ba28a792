"""Limits, prices and terms for tests of money."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from pointsman.domain.calls import NO_MEDIA, Call, Media, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.limits import Level, Limit, Metric, Period
from pointsman.domain.operations import Operation
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.engine.billing import charge_for
from pointsman.engine.receiver import AnswerReceiver
from pointsman.money.charges import Answers, Bound, Charge, Tariff
from pointsman.money.terms import Terms

PLAIN = Price(Rates(input=150_000, output=600_000))  # $0.15 and $0.60 per million


def limit(
    metric: Metric = "usd",
    amount: int = 1000,
    unit: str = "day",
    *,
    level: Level = "virtual_key",
    name: str = "me",
    soft: bool = False,
) -> Limit:
    return Limit(level=level, owner=f"{level}:{name}", metric=metric, period=Period(unit), amount=amount, soft=soft)


def terms(price: Price | None = PLAIN, *limits: Limit, output: int | None = None, has_budget: bool = False) -> Terms:
    if price is None:
        return Terms(limits=limits, price=None, output=output, has_budget=has_budget)
    steps = [price.above, *price.tiers_above.values()]
    rates = [price.rates, *price.tiers.values(), *(rates for above in steps for _, rates in above)]
    every = [msgspec.structs.asdict(one) for one in rates]
    inputs = [one[name] or 0 for one in every for name in one if name == "input" or "_in" in name or "cache" in name]
    outputs = [one[name] or 0 for one in every for name in one if "out" in name or name == "reasoning"]
    return Terms(
        limits=limits,
        price=price,
        output=output,
        has_budget=has_budget,
        max_input_rate=max(inputs),
        max_output_rate=max(outputs),
        request_nano=price.request_nano,
    )


def make_call(
    operation: Operation = "chat",
    size: int = 100,
    max_tokens: int | None = None,
    choices: int = 1,
    method: str = "POST",
    media: Media = NO_MEDIA,
    fields: Mapping[str, object] | None = None,
    *,
    path: str = "/x",
) -> Call:
    """Build a call. `size` is that of its body in bytes."""
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in (fields or {}).items()}
    return Call(
        operation=operation,
        head=RequestHead(method=method, path=path),
        snapshot=NO_SNAPSHOT,
        model="m",
        fields=raw,
        size=size,
        max_tokens=max_tokens,
        choices=choices,
        answers=choices,
        media=media,
    )


def charge_of(
    call: Call,
    price: Price | None,
    bound: Bound,
    unfinished: str | None,
    receiver: AnswerReceiver,
    failure: Failure | None,
    answers: Answers | None = None,
) -> Charge:
    """Return the charge for an attempt at a provider with these terms."""
    return charge_for(call, Tariff(terms(price), unfinished, answers or Answers()), bound, receiver, failure)
