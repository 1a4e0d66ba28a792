"""The part of the configuration file about alerts."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pointsman.config.credentials_schema import Reference
from pointsman.config.egress_schema import EgressSettings
from pointsman.config.sections import HeaderName, Name, Section, Text

MAX_RULES = 200

AlertLabels = Annotated[dict[Name, Annotated[str, Field(max_length=256)]], Field(max_length=16)]


class ChannelSettings(Section):
    """A server that gets the messages of alerts. It must be at a public address, or at one that `egress.allow_private`
    lists."""

    type: Name
    """The kind of the channel."""
    url: Text
    """The address, `https://…`. If it is a secret, as those of Slack are, use `env.NAME` or `file:PATH`."""
    secrets: Annotated[list[Reference], Field(max_length=4)] = []
    """The secrets that sign each message of a `webhook`: references to `whsec_` and 24 to 64 bytes in base64. To
    replace one, list both until the receiver knows the new one."""
    headers: Annotated[dict[HeaderName, Reference], Field(max_length=16)] = {}
    """Headers of each message, by name. Each value is a reference, `env.NAME` or `file:PATH`."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """The longest time of one delivery, in seconds."""
    egress: EgressSettings | None = None
    """Network settings for this channel. Each field replaces that of the global `egress`."""


class AlertKindSettings(Section):
    """A kind of conditions with its settings, as `{name: {setting: value}}`."""

    name: str
    """The name of the kind."""
    settings: dict[str, object] = Field(default_factory=dict)
    """Its settings, which only the kind knows."""
    value: object = None
    """The value of its first setting, instead of `settings`."""


def _expand(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1:
        ((name, settings),) = value.items()
        if settings is None or isinstance(settings, dict):
            return {"name": name, "settings": settings or {}}
        return {"name": name, "value": settings}
    if isinstance(value, AlertKindSettings):
        return value
    raise ValueError("must be the name of a kind, or one name with its settings: {budget: {percent: [80, 100]}}")


AlertKindField = Annotated[AlertKindSettings, BeforeValidator(_expand, json_schema_input_type=Name | AlertKindSettings)]


class AlertRuleSettings(Section):
    """A rule. Set `kind`, or `each` and `when`, or `kind` and `when`: then both conditions must hold."""

    name: Name
    """The name of the rule."""
    kind: AlertKindField | None = None
    """A kind of conditions: a name, or `{name: {setting: value}}`. `{budget: [80]}` sets the first setting."""
    each: Name | None = None
    """The subject that `when` is about: it is evaluated for each target, limit and so on. A kind has its own."""
    when: Annotated[str, Field(max_length=10_000)] | None = None
    """A condition in CEL over the facts of the subject, such as `error_rate > 0.2 && attempts >= 50`."""
    severity: Literal["info", "warning", "critical"] = "warning"
    """The severity of its alerts."""
    for_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """The time for which the condition must hold before an alert fires, in seconds."""
    cooldown_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """The shortest time between two firings of the same alert, in seconds."""
    over_s: Annotated[float, Field(ge=10, le=3600)] = 60.0
    """The time of which rates and percentiles are computed, in seconds."""
    group_by: Annotated[list[Name], Field(max_length=8)] = []
    """The labels whose values must be equal for alerts to share a message. Default: all alerts of the rule that fire
    or end together share one."""
    labels: AlertLabels = {}
    """Labels of its alerts."""
    channels: Annotated[list[Name], Field(max_length=16)] | None = None
    """The channels that get its messages. Default: all."""
    enabled: bool = True
    """If false, the rule is checked but not evaluated."""


class AlertsSettings(Section):
    """Alerts, and the channels that get their messages."""

    channels: Annotated[dict[Name, ChannelSettings], Field(max_length=16)] = {}
    """Channels by name."""
    rules: Annotated[list[AlertRuleSettings], Field(max_length=MAX_RULES)] | None = None
    """The rules. Default: one for each kind of conditions with its defaults, except `latency`."""
    keep_days: Annotated[float, Field(ge=1, le=3650)] = 90.0
    """The time that ended alerts are kept, in days."""
