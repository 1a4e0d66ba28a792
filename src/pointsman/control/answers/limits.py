"""The use of limits."""

import asyncio
from functools import partial
from time import time, time_ns

from pointsman.control.inquiries.limits import (
    BudgetInquiry,
    ChangedLimitInquiry,
    ChangedLimits,
    LimitInquiry,
    LimitState,
)
from pointsman.control.owners import ConfiguredOwners
from pointsman.control.parts import AT_ONCE, Answers, ControlParts
from pointsman.domain.rights import KEY, LEVELS, AccessScope
from pointsman.domain.snapshots import limits_to_list
from pointsman.money.leases import Spent

ENDED_S = 300.0  # the spending of a window that ended this long ago is no news
MAX_CHANGED = 20_000


async def _budgets(inquiry: BudgetInquiry, parts: ControlParts) -> list[LimitState]:
    """Return used windows first, then those of unused limits."""
    now, owner = time(), inquiry.owner
    found: list[LimitState] = []
    current: set[tuple[str, int]] = set()
    is_within = partial(_is_within, inquiry.scope, ConfiguredOwners(parts.configuration.current))
    for number, name in enumerate(parts.lease_table.names(owner)):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        one = _limit_state(parts.lease_table.spent_in(name))
        if not is_within(one.owner):
            continue
        if inquiry.past or one.window_end is None or one.window_end > now:
            found.append(one)
            current.add(name)
            if len(found) >= inquiry.most:
                return found
    for number, (counter, limit) in enumerate(parts.lease_table.limits.items()):  # limits without any use
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        name = counter, limit.period.window(now)[0]
        if name not in current and (owner is None or limit.owner == owner) and is_within(limit.owner):
            found.append(_limit_state(Spent(*name, 0, 0, limit)))
            if len(found) >= inquiry.most:
                break
    return found


def _is_within(scope: AccessScope, owners: ConfiguredOwners, owner: str) -> bool:
    """Return whether a scope has the limits of an owner. Those of an entry are the key's."""
    if scope.is_everything:
        return True
    level, _, name = owner.partition(":")
    if level == "entry":
        level, name = KEY, name.rpartition("/")[0]
    return level in LEVELS and scope.contains(f"{level}:{name}", owners)


async def _limits(inquiry: LimitInquiry, parts: ControlParts) -> list[LimitState]:
    now = time()
    found: list[LimitState] = []
    for limit in limits_to_list(parts.configuration.current.snapshot, inquiry.most):
        found.append(_limit_state(parts.lease_table.spent_in((limit.counter, limit.period.window(now)[0]))))
        if len(found) % AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


async def _changed(inquiry: ChangedLimitInquiry, parts: ControlParts) -> list[ChangedLimits]:
    digest = parts.configuration.digest  # new limits change the used share of all windows
    mark = f"{time_ns()}-{digest}"
    changed = parts.lease_table.changes.since(inquiry.mark if inquiry.mark.endswith(f"-{digest}") else "", mark)
    names = changed if changed is not None else parts.lease_table.names()
    oldest = time() - ENDED_S
    found: list[LimitState] = []
    for number, name in enumerate(names):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        one = _limit_state(parts.lease_table.spent_in(name))
        if not one.limit or one.window_end is None or one.window_end < oldest:
            continue
        if one.posted * 100 >= inquiry.least_percent * one.limit and len(found) < MAX_CHANGED:
            found.append(one)
    return [ChangedLimits(mark, found[at : at + AT_ONCE]) for at in range(0, max(1, len(found)), AT_ONCE)]


def _limit_state(spent: Spent) -> LimitState:
    owner, metric, period = spent.counter.rsplit("|", 2)
    limit = spent.limit
    return LimitState(
        owner=owner,
        metric=metric,
        period=period,
        window_start=spent.window,
        window_end=limit.period.window(spent.window)[1] if limit is not None else None,
        limit=limit.amount if limit is not None else None,
        soft=limit is not None and limit.soft,
        posted=spent.posted,
        lent=spent.leased,
    )


ANSWERS: Answers = {BudgetInquiry: _budgets, LimitInquiry: _limits, ChangedLimitInquiry: _changed}
