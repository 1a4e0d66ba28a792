"""An incoming webhook of Slack, or of a server with the same format.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import msgspec

from pointsman.alerting.api import AlertMessage, ChannelKind

MAX_LINES = 20
MAX_LINE = 500  # characters
_WORDS = {"fired": "", "ended": "ended: ", "test": "test: "}
_MARKS = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}


def body(message: AlertMessage) -> bytes:
    mark = ":white_check_mark:" if message.event == "ended" else _MARKS[message.severity]
    lines = [f"{mark} *{_escaped(message.rule)}* ({message.severity})"]
    lines += [f"• {_WORDS[message.event]}{_escaped(one.text)}" for one in message.alerts[:MAX_LINES]]
    more = message.more + max(0, len(message.alerts) - MAX_LINES)
    if more:
        lines.append(f"and {more} more")
    return msgspec.json.encode({"text": "\n".join(lines)})


def _escaped(text: str) -> str:
    """Return a text without Slack's control characters. https://docs.slack.dev/messaging/formatting-message-text"""
    short = text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


CHANNEL = ChannelKind(body, "An incoming webhook of Slack, or of a server with the same format.")
