"""From `budgets` and `rate_limits` to limits."""

from collections.abc import Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pointsman.config.problems import Findings, nearest
from pointsman.config.schema import BudgetSettings, HoursSettings, Per, RateLimitSettings
from pointsman.config.source import Location
from pointsman.domain.limits import Level, Limit, Metric, Period

NANO = 1_000_000_000


def nano_dollars(usd: Decimal) -> int:
    """Exact: the schema allows nine decimals."""
    return int(usd * NANO)


class LimitCompiler:
    """Compiles the limits of any owner. Zones are looked up once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._zones: dict[str, ZoneInfo] = {}
        self._periods: dict[tuple[str, int, str], Period] = {}

    def compile(
        self,
        level: Level,
        name: str,
        budgets: Sequence[BudgetSettings],
        rate_limits: Sequence[RateLimitSettings],
        place: Location,
    ) -> tuple[Limit, ...]:
        """The limits of one owner; of two for the same thing the second is an error."""
        if not budgets and not rate_limits:
            return ()
        owner = f"{level.value}:{name}"
        found: dict[str, Limit] = {}
        for index, budget in enumerate(budgets):
            where: Location = (*place, "budgets", index)
            amount = nano_dollars(budget.limit_usd)
            self._add(found, level, owner, Metric.USD, amount, budget, where)
        for index, rate in enumerate(rate_limits):
            where = (*place, "rate_limits", index)
            if (rate.requests is None) == (rate.tokens is None):
                self._findings.error(where, "states how many `requests`, or how many `tokens`: exactly one of the two")
            elif rate.requests is not None:
                self._add(found, level, owner, Metric.REQUESTS, rate.requests, rate, where)
            elif rate.tokens is not None:
                self._add(found, level, owner, Metric.TOKENS, rate.tokens, rate, where)
        return tuple(found.values())

    def _add(
        self,
        found: dict[str, Limit],
        level: Level,
        owner: str,
        metric: Metric,
        amount: int,
        settings: BudgetSettings | RateLimitSettings,
        place: Location,
    ) -> None:
        period = self._period(settings.per, settings.zone, place)
        if period is None:
            return
        limit = Limit(level=level, owner=owner, metric=metric, period=period, amount=amount, soft=settings.soft)
        if limit.counter in found:
            message = f"there is another limit of {metric.value} per {period.name} here; state one of them"
            self._findings.error((*place, "per"), message)
        found[limit.counter] = limit

    def _period(self, per: Per, zone: str | None, place: Location) -> Period | None:
        unit, count = ("hours", per.hours) if isinstance(per, HoursSettings) else (per, 1)
        key = (unit, count, zone or "")
        period = self._periods.get(key)
        if period is None:
            info = None
            if zone is not None and zone not in ("UTC", "Etc/UTC"):
                info = self._zone(zone, place)
                if info is None:
                    return None
            period = self._periods[key] = Period(unit, count, info)
        return period

    def _zone(self, name: str, place: Location) -> ZoneInfo | None:
        zone = self._zones.get(name)
        if zone is None:
            try:
                zone = self._zones[name] = ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                guess = nearest(name, available_timezones()) or "; it is written as in `Europe/Berlin`"
                self._findings.error((*place, "zone"), f"there is no time zone {name!r}{guess}")
        return zone
