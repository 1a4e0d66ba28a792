"""Compiles `alerts`: its rules with their conditions, and its channels."""

from collections.abc import Sequence
from itertools import chain

import msgspec
from msgspec.structs import replace

from pointsman.alerting.api import AlertRule, Check
from pointsman.alerting.conditions import VOCABULARIES, both
from pointsman.alerting.kinds import KINDS
from pointsman.alerting.subjects import SUBJECTS
from pointsman.alerting.texts import default_text
from pointsman.config.alert_channels import compile_channel
from pointsman.config.alerts_schema import AlertKindSettings, AlertRuleSettings, AlertsSettings
from pointsman.config.conditions import located
from pointsman.config.egress_schema import GlobalEgressSettings
from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.references import References
from pointsman.config.settings import Alerts
from pointsman.config.source import Location
from pointsman.routing.conditions.programs import Compiler
from pointsman.routing.conditions.references import ConditionError

_WITHOUT_DEFAULT = frozenset({"latency"})  # its bound depends on the models
_PLACE: Location = ("alerts",)


def compile_alerts(
    settings: AlertsSettings | None, egress: GlobalEgressSettings, references: References, findings: Findings
) -> Alerts | None:
    """Return the rules and channels, `None` if there are none. With errors among the findings, they are not usable."""
    if settings is None:
        return None
    channels = [compile_channel(name, one, egress, references, findings) for name, one in settings.channels.items()]
    rules: list[AlertRule] = []
    names: set[str] = set()
    for at, one in enumerate(settings.rules if settings.rules is not None else default_rules()):
        place = (*_PLACE, "rules", at) if settings.rules is not None else _PLACE
        if one.name in names:
            findings.error((*place, "name"), f"duplicate rule {one.name!r}; choose another name")
        names.add(one.name)
        rule = _rule(one, list(settings.channels), place, findings)
        if one.enabled:
            rules.append(rule)
    return Alerts(tuple(rules), tuple(one for one in channels if one is not None), settings.keep_days)


def default_rules() -> list[AlertRuleSettings]:
    """Return the rules of a configuration that has none of its own."""
    return [
        AlertRuleSettings(name=name, kind=AlertKindSettings(name=name))
        for name in KINDS
        if name not in _WITHOUT_DEFAULT
    ]


def _rule(settings: AlertRuleSettings, channels: Sequence[str], place: Location, findings: Findings) -> AlertRule:
    checks = _checks(settings, place, findings)
    for at, check in enumerate(checks):
        if not _check(check.when, check.each, (*place, "when"), findings):
            del checks[at:]
            break
    chosen = settings.channels if settings.channels is not None else channels
    for at, name in enumerate(chosen):
        if name not in channels:
            message = f"unknown channel {name!r}; the channels are {listed(channels)}{nearest(name, channels)}"
            findings.error((*place, "channels", at), message)
    known = {*settings.labels, *chain.from_iterable((*SUBJECTS[one.each].labels, *one.labels) for one in checks)}
    for at, name in enumerate(settings.group_by if checks else ()):
        if name not in known:
            message = f"unknown label {name!r}; the labels of its alerts are {listed(known)}"
            findings.error((*place, "group_by", at), message)
    return AlertRule(
        name=settings.name,
        severity=settings.severity,
        checks=tuple(checks),
        channels=tuple(chosen),
        for_s=settings.for_s,
        cooldown_s=settings.cooldown_s,
        over_s=settings.over_s,
        group_by=tuple(settings.group_by),
        labels=settings.labels,
    )


def _checks(settings: AlertRuleSettings, place: Location, findings: Findings) -> list[Check]:
    when = (settings.when or "").strip()
    if settings.kind is not None:
        if settings.each is not None:
            findings.error((*place, "each"), "`kind` has a subject itself; remove this field")
        return [replace(one, when=both(one.when, when)) for one in _of_kind(settings.kind, (*place, "kind"), findings)]
    if settings.each is None or not when:
        findings.error(place, f"set `kind` to one of {listed(KINDS)}; or set both `each` and `when`")
        return []
    subject = SUBJECTS.get(settings.each)
    if subject is None:
        message = f"unknown subject {settings.each!r}; use one of: {listed(SUBJECTS)}{nearest(settings.each, SUBJECTS)}"
        findings.error((*place, "each"), message)
        return []
    return [Check(each=settings.each, when=when, text=default_text(settings.each, when, subject.labels))]


def _of_kind(chosen: AlertKindSettings, place: Location, findings: Findings) -> Sequence[Check]:
    kind = KINDS.get(chosen.name)
    if kind is None:
        message = f"unknown kind {chosen.name!r}; use one of: {listed(KINDS)}{nearest(chosen.name, KINDS)}"
        findings.error(place, message)
        return ()
    settings = chosen.settings if chosen.value is None else {kind.first: chosen.value}
    try:
        return kind.make(msgspec.convert(settings, kind.settings))
    except msgspec.ValidationError as error:
        findings.error((*place, chosen.name), f"invalid settings of the kind {chosen.name!r}: {error}")
        return ()


def _check(condition: str, each: str, place: Location, findings: Findings) -> bool:
    """Return whether a condition is valid. Otherwise the error is among the findings."""
    compiler = Compiler(VOCABULARIES[each])
    try:
        compiler.check(condition, compiler.declare(condition, condition))
    except ConditionError as error:
        findings.error(place, located(error, condition))
        return False
    return True
