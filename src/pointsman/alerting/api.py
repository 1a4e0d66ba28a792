"""The types that subjects, kinds of conditions and channels share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

Severity = Literal["info", "warning", "critical"]
Event = Literal["fired", "ended", "test"]
Fact = str | float | int | bool | None


class AlertSubject(Struct, frozen=True, kw_only=True):
    """A kind of thing that alerts are about. `facts` is the struct of its facts. `labels` are those that identify one
    thing. An alert about a thing fires at most once for each value of `once_in`, and ends at the time `until`, if these
    facts are named. `needs_pages` is true if the facts come from the metrics of workers."""

    facts: type[Struct]
    labels: tuple[str, ...] = ()
    once_in: str = ""
    until: str = ""
    needs_pages: bool = False


class Check(Struct, frozen=True, kw_only=True):
    """One condition of a rule, about each thing of the subject `each`. `text` describes a match, with facts in braces.
    `labels` are added to those of its alerts. `least_percent` is the least used share of a limit that can match."""

    each: str
    when: str
    text: str
    labels: dict[str, str] = {}
    least_percent: float = 1.0


class AlertKind(Struct, frozen=True):
    """A kind of conditions of this version, and the type of its settings. `first` is the setting that a plain value
    sets."""

    make: Callable[[object], Sequence[Check]]
    settings: type[Struct]
    meaning: str
    first: str


class AlertRule(Struct, frozen=True, kw_only=True):
    """A compiled rule. An alert fires if its condition holds for `for_s`, and not again within `cooldown_s`. Alerts
    that fire or end together, and have the same values of the labels in `group_by`, share one message. Rates and
    percentiles are those of the last `over_s`. `channels` are the names of those that get its messages."""

    name: str
    severity: Severity
    checks: tuple[Check, ...]
    channels: tuple[str, ...]
    for_s: float = 0.0
    cooldown_s: float = 0.0
    over_s: float = 60.0
    group_by: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class Alert(Struct, frozen=True, kw_only=True):
    """An alert. `key` identifies its check and the thing that it is about; `id` also its beginning. Times are Unix
    seconds. `until` is the time at which it ends in any case, and `ended_at` the time at which it did."""

    id: str
    key: str
    rule: str
    severity: Severity
    text: str
    labels: dict[str, str]
    facts: dict[str, Fact]
    fired_at: float
    until: float | None = None
    ended_at: float | None = None


class AlertMessage(Struct, frozen=True, kw_only=True):
    """One message to a channel about some alerts of one rule. `more` alerts of the same group are not listed. `at` is
    in Unix seconds. A message that is sent again keeps its `id`."""

    id: str
    channel: str
    event: Event
    rule: str
    severity: Severity
    alerts: list[Alert]
    at: float
    more: int = 0


class ChannelKind(Struct, frozen=True):
    """A kind of channel. `body` returns the content of a POST request. If it `is_signed`, its receivers need a secret
    that signs each message."""

    body: Callable[[AlertMessage], bytes]
    meaning: str
    is_signed: bool = False


def values_of(row: Struct) -> Mapping[str, Fact]:
    """Return the facts of a row by name."""
    return {name: getattr(row, name) for name in row.__struct_fields__}
