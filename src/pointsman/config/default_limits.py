"""Compiles `governance.defaults`: limits for each key, team, customer or end user that an entry selects."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.limits import LimitCompiler
from pointsman.config.problems import Findings, nearest
from pointsman.config.schema import DefaultSettings, GovernanceSettings
from pointsman.config.source import Location
from pointsman.domain.identity import EndUserLimits
from pointsman.domain.limits import Level, Limit

_PLAIN = re.compile(r"[A-Za-z0-9._=+-]{1,80}")
_USELESS: dict[str, tuple[str, ...]] = {"team": ("team",), "customer": ("team", "customer")}


class Selected(Struct, frozen=True):
    """The properties of an owner that entries select by. The labels include those it inherits."""

    team: str | None = None
    customer: str | None = None
    labels: Mapping[str, str] = {}


class DefaultLimits:
    """The compiled entries. `end_users` are those for end users."""

    def __init__(self, governance: GovernanceSettings, findings: Findings) -> None:
        self._governance = governance
        self._findings = findings
        self._used: set[int] = set()
        compiler = LimitCompiler(findings)
        self._entries: list[tuple[DefaultSettings, tuple[Limit, ...]]] = []
        self._end_users: dict[int, EndUserLimits] = {}
        for index, entry in enumerate(governance.defaults):
            level: Level = entry.each
            selector = _selector(entry) if level == "end_user" else ""
            limits = compiler.compile(level, selector, entry, _place(index))
            self._entries.append((entry, limits))
            if level == "end_user":
                header = entry.end_user_from.lower().partition(":")[2]
                self._end_users[index] = EndUserLimits(
                    selector=selector, header=header, at_most=entry.at_most, limits=limits
                )

    @property
    def end_users(self) -> tuple[EndUserLimits, ...]:
        return tuple(self._end_users.values())

    def check_names(self) -> None:
        """Report selectors of unknown names, and fields without an effect."""
        governance, selectors = self._governance, set()
        for index, (entry, _) in enumerate(self._entries):
            place = _place(index)
            known: tuple[tuple[str, str | None, Mapping[str, object]], ...] = (
                ("team", entry.team, governance.teams),
                ("customer", entry.customer, governance.customers),
            )
            for field, name, names in known:
                if name is not None and field in _USELESS.get(entry.each, ()):
                    self._findings.error((*place, field), f"cannot be used with `each: {entry.each}`; remove it")
                elif name is not None and name not in names:
                    self._findings.error((*place, field), f"unknown {field} {name!r}{nearest(name, names)}")
            if not entry.budgets and not entry.rate_limits:
                self._findings.error(place, "sets no limit; add `budgets` or `rate_limits`")
            if entry.each != "end_user":
                for field in ("end_user_from", "at_most"):
                    if field in entry.model_fields_set:
                        self._findings.error((*place, field), "applies only to `each: end_user`; remove it")
                continue
            selector = self._end_users[index].selector
            if selector in selectors:
                self._findings.error(place, "selects the same end users as an earlier entry; merge the two")
            selectors.add(selector)

    def of(self, level: Level, name: str, own: Sequence[Limit], selected: Selected) -> tuple[Limit, ...]:
        """Return the default limits of an owner, except those that its own limits replace."""
        taken, owner = {(limit.metric, limit.period.name) for limit in own}, f"{level}:{name}"
        found: list[Limit] = []
        for index, (entry, limits) in enumerate(self._entries):
            if entry.each == level and _selects(entry, selected):
                self._used.add(index)
                for limit in limits:
                    if (limit.metric, limit.period.name) not in taken:
                        taken.add((limit.metric, limit.period.name))
                        found.append(replace(limit, owner=owner))
        return tuple(found)

    def of_end_users(self, selected: Selected) -> tuple[EndUserLimits, ...]:
        """Return the limits of each end user of a key."""
        taken: set[tuple[str, str]] = set()
        found: list[EndUserLimits] = []
        for index, one in self._end_users.items():
            if _selects(self._entries[index][0], selected):
                self._used.add(index)
                limits = [limit for limit in one.limits if (limit.metric, limit.period.name) not in taken]
                taken |= {(limit.metric, limit.period.name) for limit in limits}
                if limits:
                    found.append(one if len(limits) == len(one.limits) else replace(one, limits=tuple(limits)))
        return tuple(found)

    def note_unused(self) -> None:
        """Note entries that select nothing."""
        for index, (entry, _) in enumerate(self._entries):
            if index not in self._used:
                trusted = " of a key with `end_users: trusted`" if entry.each == "end_user" else ""
                self._findings.note(_place(index), f"selects no {entry.each}{trusted}")


def check_not_alone(
    end_users: Sequence[EndUserLimits], limits: Sequence[Limit], place: Location, findings: Findings
) -> None:
    """Report limits of end users without a limit of their key or team. Clients choose the names of their users, so such
    a limit alone bounds nothing."""
    bounded = {limit.metric for limit in limits if not limit.soft}
    for limit in (limit for one in end_users for limit in one.limits):
        if not limit.soft and limit.metric not in bounded and "usd" not in bounded:
            kind = "budget" if limit.metric == "usd" else f"limit of {limit.metric}"
            message = (
                f"the {kind} of each end user needs a limit of the key or its team beside it, since clients choose the "
                f"names of their users; add a {kind} to the key or to its team"
            )
            findings.error((*place, "end_users"), message)
            return


def _selects(entry: DefaultSettings, selected: Selected) -> bool:
    return (
        entry.team in (None, selected.team)
        and entry.customer in (None, selected.customer)
        and all(selected.labels.get(label) == text for label, text in entry.labels.items())
    )


def _selector(entry: DefaultSettings) -> str:
    """Return the name of a selection of keys, which stays the same if the limits change."""
    named = [("team", entry.team), ("customer", entry.customer)]
    named += [(f"label.{label}", text) for label, text in sorted(entry.labels.items())]
    text = "+".join(f"{field}={name}" for field, name in named if name is not None) or "all"
    return text if _PLAIN.fullmatch(text) else f"selector-{sha256(text.encode()).hexdigest()[:12]}"


def _place(index: int) -> Location:
    return ("governance", "defaults", index)
