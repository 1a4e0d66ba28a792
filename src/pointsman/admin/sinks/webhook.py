"""Records as signed messages to a receiver of webhooks."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import asdict

from pointsman.admin.delivery import Sent
from pointsman.admin.following import Message
from pointsman.admin.webhooks import Webhook
from pointsman.control.inquiries.sinks import SinkState
from pointsman.control.recipients import WebhookRecipient


class WebhookSink:
    """Sends messages with the `name` of the sink in their ids. A receiver that gets one twice knows it by its id."""

    def __init__(self, webhook: Webhook, name: str) -> None:
        self._webhook = webhook
        self._name = name

    def encode(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = f'{{"type":"requests","timestamp":"{now}","data":['.encode()
        return head + b",".join(lines) + b"]}", len(lines)

    async def send(self, message: Message) -> Sent:
        return await self._webhook.send(f"{self._name}-{message.name}", message.body, count=message.count)

    async def test(self) -> None:
        """Test nothing: a receiver need not know a message without records."""

    async def close(self) -> None:
        await self._webhook.close()


def _open(state: SinkState) -> WebhookSink:
    assert state.recipient is not None
    recipient = WebhookRecipient(**asdict(state.recipient), secrets=state.secrets)
    return WebhookSink(Webhook(recipient), state.name)


OPEN = _open
