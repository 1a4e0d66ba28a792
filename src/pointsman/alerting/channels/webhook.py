"""A receiver of signed messages by the rules of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-structure
"""

from datetime import UTC, datetime

import msgspec

from pointsman.alerting.api import AlertMessage, ChannelKind


def body(message: AlertMessage) -> bytes:
    return msgspec.json.encode(
        {
            "type": f"alert.{message.event}",
            "timestamp": datetime.fromtimestamp(message.at, UTC).isoformat(),
            "data": {
                "rule": message.rule,
                "severity": message.severity,
                "alerts": [
                    {
                        "id": one.id,
                        "text": one.text,
                        "labels": one.labels,
                        "facts": one.facts,
                        "fired_at": one.fired_at,
                        "ended_at": one.ended_at,
                    }
                    for one in message.alerts
                ],
                "more": message.more,
            },
        }
    )


CHANNEL = ChannelKind(body, "A receiver of signed messages by the rules of Standard Webhooks.", is_signed=True)
