"""Deliveries of messages to channels.

Each channel has a task and a bounded queue. The store has every message until its end is noted, so a full queue loses
none. Nothing else waits for a channel. A message that fails goes to the end of the queue, so that one that a receiver
never takes does not hold up the others. A message is given up after `EXPIRY_S`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from random import Random
from time import monotonic, time

from msgspec import Struct

from pointsman.admin.delivery import FIRST_WAIT_S, LONGEST_WAIT_S, SLOW_S, DeliveryError, RecipientClient, sent_by
from pointsman.admin.webhooks import Webhook
from pointsman.alerting.api import AlertMessage
from pointsman.alerting.channels import CHANNELS
from pointsman.control.inquiries.alerts import ChannelRecipient, EndAlertMessage
from pointsman.control.store.alerts import AlertQueries
from pointsman.control.store.database import StoreError

MAX_QUEUE = 500  # messages of a channel in memory
MAX_KNOWN = 5_000  # ids of delivered messages
EXPIRY_S = 86_400.0
REFILL_S = 5.0  # between two looks at the store
NOTE_S = 1.0  # a queue that ends may take so long to note delivered messages

_logger = logging.getLogger("pointsman")


class ChannelStatus(Struct, kw_only=True):
    """The state of one channel. `problem` is the reason why it takes no messages at present, since `failing_since` in
    monotonic seconds. Messages end as `delivered`, `rejected` or `expired`."""

    channel: str
    problem: str = ""
    failing_since: float = 0.0
    failures: int = 0
    delivered: int = 0
    rejected: int = 0
    expired: int = 0

    def fail(self, problem: str) -> None:
        """Note a failure. The first one of several is logged."""
        self.failures += 1
        if not self.problem:
            self.failing_since = monotonic()
            _logger.warning("the alert channel %s takes no messages: %s; retrying", self.channel, problem)
        self.problem = problem

    def end(self, outcome: str, problem: str) -> None:
        """Note the end of a message."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome != "delivered":
            _logger.warning("a message to the alert channel %s is %s: %s", self.channel, outcome, problem)
        if self.problem and outcome != "expired":
            took_s = monotonic() - self.failing_since
            _logger.info("the alert channel %s takes messages again, after %.0f s", self.channel, took_s)
            self.problem = ""


class ChannelSender:
    """Sends messages to one channel. Create it inside the event loop that it uses."""

    def __init__(self, recipient: ChannelRecipient) -> None:
        self._kind = CHANNELS[recipient.type]
        self._target = (recipient.path or "/").encode("ascii")
        self._webhook = Webhook(recipient) if self._kind.is_signed else None
        self._client = RecipientClient(recipient)

    async def send(self, message: AlertMessage) -> str:
        """Send a message once. Return an empty text, or the reason for which it was rejected for good. Raises
        `DeliveryError` if it may be accepted later."""
        body = self._kind.body(message)
        if self._webhook is not None:
            sent = await self._webhook.send(message.id, body)
        else:
            lines = b"content-type: application/json\r\n"
            sent = sent_by(await self._client.send(b"POST", self._target, lines, body), 1)
        return sent.reason if sent.rejected else ""

    async def close(self) -> None:
        if self._webhook is not None:
            await self._webhook.close()
        await self._client.close()


class ChannelQueue:
    """The messages of one channel, and the task that sends them. `note` notes the end of a message."""

    def __init__(
        self,
        recipient: ChannelRecipient,
        store: AlertQueries,
        status: ChannelStatus,
        note: Callable[[EndAlertMessage], Awaitable[bool]],
    ) -> None:
        self._recipient = recipient
        self._store = store
        self.status = status
        self._note = note
        self._waiting: dict[str, AlertMessage] = {}
        self._ended: dict[str, EndAlertMessage] = {}
        self._not_noted: set[str] = set()  # of those, the ones whose end the store does not have
        self._news = asyncio.Event()
        self._is_behind = True  # the store may have messages that are not in the queue
        self._rng = Random()

    def __len__(self) -> int:
        return len(self._waiting)

    def post(self, message: AlertMessage) -> None:
        """Send a message soon. One that was posted before is not sent again."""
        if message.id in self._waiting:
            return
        if message.id in self._ended:  # it was sent before it was in the store
            self._not_noted.add(message.id)
        elif len(self._waiting) < MAX_QUEUE:
            self._waiting[message.id] = message
        else:
            self._is_behind = True
        self._news.set()

    async def run(self) -> None:
        """Send until it is cancelled."""
        sender = ChannelSender(self._recipient)
        failures = 0
        try:
            while True:
                await self._refill()
                if not self._waiting:
                    await self._pause(REFILL_S)
                    continue
                is_sent = await self._send_next(sender)
                failures = 0 if is_sent else failures + 1
                if not is_sent:
                    wait_s = min(FIRST_WAIT_S * 2 ** min(failures - 1, 10), LONGEST_WAIT_S)
                    await asyncio.sleep(wait_s * self._rng.uniform(0.8, 1.0))
        finally:
            await sender.close()

    async def flush(self) -> None:
        """Note the ends of messages that could not be noted before."""
        for id_ in list(self._not_noted):
            if await self._note(self._ended[id_]):
                self._not_noted.discard(id_)
        noted = [id_ for id_ in self._ended if id_ not in self._not_noted]
        for id_ in noted[: max(0, len(self._ended) - MAX_KNOWN)]:
            del self._ended[id_]

    async def _send_next(self, sender: ChannelSender) -> bool:
        """Send the first message. Return whether it has ended."""
        id_, message = next(iter(self._waiting.items()))
        if time() - message.at > EXPIRY_S:
            await self._end(id_, "expired", self.status.problem or "it was too old")
            return True
        sending = asyncio.ensure_future(sender.send(message))
        try:
            done, _ = await asyncio.wait({sending}, timeout=SLOW_S)
            if not done:
                self.status.fail(f"there is no answer within {SLOW_S:g} s")
            problem = await sending
        except DeliveryError as error:
            self.status.fail(str(error))
            self._waiting[id_] = self._waiting.pop(id_)  # the others are tried first
            return False
        finally:
            sending.cancel()
        await self._end(id_, "rejected" if problem else "delivered", problem)
        return True

    async def _end(self, id_: str, outcome: str, problem: str) -> None:
        self.status.end(outcome, problem)
        self._ended[id_] = EndAlertMessage(id_, time(), outcome, problem)
        self._not_noted.add(id_)
        del self._waiting[id_]
        await self.flush()

    async def _refill(self) -> None:
        """Read messages that wait in the store, if some may not be in the queue."""
        if not self._is_behind or self._waiting:
            return
        try:
            await self.flush()
            found = await self._store.messages(self._recipient.name, MAX_QUEUE)
        except StoreError:
            return
        self._is_behind = len(found) == MAX_QUEUE
        for one in found:
            self.post(one)

    async def _pause(self, for_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._news.wait()
        self._news.clear()
        await self.flush()


class Deliveries:
    """The queues of all channels."""

    def __init__(self, store: AlertQueries, note: Callable[[EndAlertMessage], Awaitable[bool]]) -> None:
        self._store = store
        self._note = note
        self._recipients: dict[str, ChannelRecipient] = {}
        self._queues: dict[str, ChannelQueue] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.statuses: dict[str, ChannelStatus] = {}

    async def configure(self, channels: Iterable[ChannelRecipient]) -> None:
        """Send to these channels from now on. A changed one begins anew, with the messages in the store."""
        wanted = {one.name: one for one in channels}
        for name in [name for name, one in self._recipients.items() if wanted.get(name) != one]:
            await self._end(name)
            del self._recipients[name]
        for name in self.statuses.keys() - wanted.keys():
            del self.statuses[name]
        for name, one in wanted.items():
            if name not in self._tasks:
                status = self.statuses.setdefault(name, ChannelStatus(channel=name))
                status.problem = ""
                queue = self._queues[name] = ChannelQueue(one, self._store, status, self._note)
                self._recipients[name] = one
                self._tasks[name] = asyncio.create_task(queue.run())

    def post(self, messages: Iterable[AlertMessage]) -> None:
        """Send messages soon. Those to channels that no longer exist are left out."""
        for one in messages:
            queue = self._queues.get(one.channel)
            if queue is not None:
                queue.post(one)

    def waiting(self, channel: str) -> int:
        """Return the number of messages in memory that wait for their delivery."""
        return len(self._queues.get(channel, ()))

    async def send_now(self, message: AlertMessage) -> str:
        """Send a message once, beside the queue. Return an empty text, or the reason for which it was not accepted."""
        recipient = self._recipients.get(message.channel)
        if recipient is None:
            return "the channel is not configured"
        sender = ChannelSender(recipient)
        try:
            return await sender.send(message)
        except DeliveryError as error:
            return str(error)
        finally:
            await sender.close()

    async def close(self) -> None:
        for name in list(self._tasks):
            await self._end(name)

    async def _end(self, name: str) -> None:
        """End a queue, and note the messages that it has delivered, so that they are not sent again."""
        task, queue = self._tasks.pop(name), self._queues.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTE_S):
                await queue.flush()
