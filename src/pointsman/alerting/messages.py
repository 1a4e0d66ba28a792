"""Messages about alerts: those of one rule that changed together, and have the same values of some labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from pointsman.alerting.api import Alert, AlertMessage, AlertRule, Event

MAX_LISTED = 100  # alerts in one message


def messages_about(
    event: Event, alerts: Iterable[Alert], rules: Mapping[str, AlertRule], now: float
) -> Iterator[AlertMessage]:
    """Yield a message for each group and each channel. Alerts of rules that no longer exist have none."""
    groups: dict[tuple[str, ...], list[Alert]] = {}
    for one in alerts:
        rule = rules.get(one.rule)
        if rule is not None:
            groups.setdefault((one.rule, *(one.labels.get(name, "") for name in rule.group_by)), []).append(one)
    for (name, *_), group in groups.items():
        for channel in rules[name].channels:
            yield message_of(channel, event, group, now)


def message_of(channel: str, event: Event, alerts: Sequence[Alert], now: float) -> AlertMessage:
    """Return the message to one channel about alerts of one rule. Its id follows from theirs."""
    parts = "\n".join((channel, event, *sorted(one.id for one in alerts)))
    return AlertMessage(
        id=f"msg_{sha256(parts.encode()).hexdigest()[:32]}",
        channel=channel,
        event=event,
        rule=alerts[0].rule,
        severity=alerts[0].severity,
        alerts=list(alerts[:MAX_LISTED]),
        at=now,
        more=max(0, len(alerts) - MAX_LISTED),
    )


def only_about(message: AlertMessage, ids: Iterable[str]) -> AlertMessage | None:
    """Return the message about those of its alerts that have these ids, or `None` if there are none."""
    wanted = set(ids)
    left = [one for one in message.alerts if one.id in wanted]
    if not left:
        return None
    return message if len(left) == len(message.alerts) else message_of(message.channel, message.event, left, message.at)
