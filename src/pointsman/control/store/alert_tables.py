"""The tables of alerts and of the messages about them, the same in SQLite and PostgreSQL."""

from sqlalchemy import Column, Float, Index, LargeBinary, Table, Text

from pointsman.control.store.tables import METADATA

# Alerts: `content` is an `alerting.api.Alert` in JSON. One that fires has no `ended_at`.
ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("fired_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("content", LargeBinary, nullable=False),
    Index("alerts_by_firing", "fired_at", "id"),
    Index("alerts_by_end", "ended_at"),
)

# Messages about alerts: `content` is an `alerting.api.AlertMessage` in JSON. One that waits for its delivery has no
# `ended_at`. `outcome` is `delivered`, `rejected` or `expired`, and `problem` the reason of the latter two.
ALERT_MESSAGES = Table(
    "alert_messages",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("ended_at", Float),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("problem", Text, nullable=False, server_default=""),
    Index("alert_messages_by_channel", "channel", "ended_at", "at"),
    Index("alert_messages_by_end", "ended_at"),
)
