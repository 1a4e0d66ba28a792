"""Servers that the admin process sends to, in tests."""

from typing import Any

from msgspec.structs import replace

from pointsman.control.recipients import WebhookRecipient

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

WEBHOOK = WebhookRecipient(
    scheme="http",
    host="127.0.0.1",
    port=1,
    path="/hook",
    headers={"x-token": "canary"},
    timeout_s=5.0,
    connect_timeout_s=1.0,
    is_public_only=True,
    allow_private=("127.0.0.0/8",),
    secrets=(SECRET,),
)


def webhook(port: int, **fields: Any) -> WebhookRecipient:
    return replace(WEBHOOK, port=port, **fields)
