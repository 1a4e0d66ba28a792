"""The settings of alerts, and changes of alerts and of their messages."""

from msgspec import Struct

from pointsman.alerting.api import Alert, AlertMessage, AlertRule
from pointsman.control.recipients import WebhookRecipient


class AlertInquiry(Struct, frozen=True, tag="alerts"):
    """Answered by one `AlertSettings`, or by none if they have this digest."""

    digest: str


class RecordAlerts(Struct, frozen=True, tag="record_alerts"):
    """Answered by one `AlertOutcome`."""

    fired: list[Alert]
    ended: list[Alert]
    messages: list[AlertMessage]
    keep_days: float


class EndAlertMessage(Struct, frozen=True, tag="end_alert_message"):
    """Answered by one `AlertOutcome`. `at` is in Unix seconds; see `control.store.tables` for `outcome`."""

    id: str
    at: float
    outcome: str
    problem: str


class ChannelRecipient(WebhookRecipient, frozen=True, kw_only=True):
    """A channel for messages about alerts. `type` is the name of its kind."""

    name: str
    type: str

    def __repr__(self) -> str:  # a struct would show its fields
        return super().__repr__()


class ExpiringKey(Struct, frozen=True):
    """A virtual key that expires, at a time in Unix seconds."""

    name: str
    team: str
    customer: str
    expires_at: float


class ExpiringKeysInquiry(Struct, frozen=True, tag="expiring_keys"):
    """Ask for the enabled keys made by API that expire between two times, in Unix seconds, without children. Answered
    by one `ExpiringKeys`, or by none if the store cannot be read."""

    after: float
    before: float


class ExpiringKeys(Struct, frozen=True):
    """The keys that expire first."""

    keys: list[ExpiringKey]


class AlertSettings(Struct, frozen=True, kw_only=True):
    """The rules of alerts, their channels, and facts of the configuration, whose digest is
    `digest`."""

    digest: str
    rules: list[AlertRule] = []
    channels: list[ChannelRecipient] = []
    keep_days: float = 90.0
    catalog_date: str = ""
    keys: list[ExpiringKey] = []


class AlertOutcome(Struct, frozen=True):
    """The end of a change of alerts: `problem` is the reason if it is not in the store. `messages` are those about
    changes that were not known before."""

    messages: list[AlertMessage] = []
    problem: str | None = None
