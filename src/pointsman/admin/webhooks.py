"""Signed messages to a receiver of webhooks, by the rules of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

The signature covers the id of the message, the time and the body. A message keeps its id when it is sent again, so that
the receiver can leave out what it has already.
"""

import hmac
from base64 import b64decode, b64encode
from time import time

from pointsman.admin.delivery import RecipientClient, Sent, sent_by
from pointsman.config.webhooks import SECRET_PREFIX
from pointsman.control.recipients import WebhookRecipient


class Webhook:
    """Sends messages to one receiver. Create it inside the event loop that it uses."""

    def __init__(self, recipient: WebhookRecipient) -> None:
        self._client = RecipientClient(recipient)
        self._target = (recipient.path or "/").encode("ascii")
        self._secrets = [b64decode(secret.removeprefix(SECRET_PREFIX)) for secret in recipient.secrets]

    async def send(self, message_id: str, body: bytes, *, kind: str = "application/json", count: int = 1) -> Sent:
        """Send a message of `count` items once. `kind` is the type of its content. Raises `DeliveryError` if it is not
        accepted, but may be later; `delivery.until_decided` sends it again."""
        at = int(time())
        lines = (
            f"content-type: {kind}\r\nwebhook-id: {message_id}\r\nwebhook-timestamp: {at}\r\n"
            f"webhook-signature: {signatures(self._secrets, message_id, at, body)}\r\n"
        )
        return sent_by(await self._client.send(b"POST", self._target, lines.encode("ascii"), body), count)

    async def close(self) -> None:
        await self._client.close()


def signatures(secrets: list[bytes], message_id: str, at: int, body: bytes) -> str:
    """Return the signatures of a message, one for each secret. `at` is in Unix seconds."""
    content = f"{message_id}.{at}.".encode() + body
    return " ".join(f"v1,{b64encode(hmac.digest(secret, content, 'sha256')).decode()}" for secret in secrets)
