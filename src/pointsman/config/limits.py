"""Compiles `budgets` and `rate_limits` into limits."""

from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pointsman.config.limits_schema import BudgetSettings, HoursSettings, Per, RateLimitSettings
from pointsman.config.problems import Findings, nearest
from pointsman.config.schema import Limited
from pointsman.config.source import Location
from pointsman.domain.dollars import NANO
from pointsman.domain.limits import Level, Limit, Metric, Period


def nano_dollars(usd: Decimal) -> int:
    """Convert exactly: the schema allows nine decimals."""
    return int(usd * NANO)


class LimitCompiler:
    """Compiles the limits of any owner. Zones are looked up once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._zones: dict[str, ZoneInfo] = {}
        self._periods: dict[tuple[str, int, str], Period] = {}

    def compile(self, level: Level, name: str, settings: Limited, place: Location) -> tuple[Limit, ...]:
        """Return the limits of one owner. The second of two for the same thing is an error."""
        owner = f"{level}:{name}"
        entries: list[tuple[Metric, int, BudgetSettings | RateLimitSettings, Location]] = [
            ("usd", nano_dollars(budget.limit_usd), budget, (*place, "budgets", index))
            for index, budget in enumerate(settings.budgets)
        ]
        for index, rate in enumerate(settings.rate_limits):
            where: Location = (*place, "rate_limits", index)
            if (rate.requests is None) == (rate.tokens is None):
                self._findings.error(where, "set exactly one of `requests` and `tokens`")
            elif rate.requests is not None:
                entries.append(("requests", rate.requests, rate, where))
            elif rate.tokens is not None:
                entries.append(("tokens", rate.tokens, rate, where))
        found: dict[str, Limit] = {}
        for metric, amount, one, where in entries:
            period = self._period(one.per, one.zone, where)
            if period is None:
                continue
            then, paced = ((one.then or ""), one.paced) if isinstance(one, BudgetSettings) else ("", False)
            if then and one.soft:
                self._findings.error((*where, "then"), "has no effect in a soft budget; remove `then` or `soft`")
            limit = Limit(
                level=level,
                owner=owner,
                metric=metric,
                period=period,
                amount=amount,
                soft=one.soft,
                paced=paced,
                then=then,
            )
            if limit.counter in found:
                message = f"duplicate limit of {metric} per {period.name}; remove one of the two"
                self._findings.error((*where, "per"), message)
            found[limit.counter] = limit
        return tuple(found.values())

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
                guess = nearest(name, available_timezones()) or "; use an IANA name, such as `Europe/Berlin`"
                self._findings.error((*place, "zone"), f"unknown time zone {name!r}{guess}")
        return zone
