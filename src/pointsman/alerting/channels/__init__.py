"""Channels that get the messages of alerts, a file each: `CHANNEL`. Every message is a POST request with JSON."""

from typing import cast

from pointsman.alerting.api import ChannelKind
from pointsman.registry import members

CHANNELS: dict[str, ChannelKind] = {name: cast("ChannelKind", one) for name, one in members(__name__, "CHANNEL")}
