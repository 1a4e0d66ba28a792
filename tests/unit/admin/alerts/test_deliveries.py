"""Messages reach their channels once, whatever a receiver does."""

import asyncio
import time

import pytest

from fakes.alerts import SECRET, message
from fakes.receiver import FakeReceiver, receiving
from integration.gateway import run, until
from pointsman.admin.alerts import deliveries
from pointsman.admin.alerts.deliveries import ChannelQueue, ChannelStatus, Deliveries
from pointsman.alerting.api import AlertMessage
from pointsman.control.inquiries.alerts import ChannelRecipient, EndAlertMessage
from pointsman.control.store.alerts import AlertQueries


def channel(receiver: FakeReceiver, type_: str = "webhook", name: str = "ops") -> ChannelRecipient:
    return ChannelRecipient(
        scheme="http",
        host="127.0.0.1",
        port=receiver.port,
        path="/in",
        headers={},
        timeout_s=2.0,
        connect_timeout_s=1.0,
        is_public_only=True,
        allow_private=("127.0.0.0/8",),
        secrets=(SECRET,) if type_ == "webhook" else (),
        name=name,
        type=type_,
    )


NOW = time.time()


def fresh(*numbers: int, channel: str = "ops") -> AlertMessage:
    return message(*numbers, channel=channel, at=NOW)


class StoredMessages(AlertQueries):
    """A store with some messages, and their ends."""

    def __init__(self, messages: list[AlertMessage]) -> None:
        self.stored = {one.id: one for one in messages}
        self.ends: list[EndAlertMessage] = []
        self.is_up = True

    async def messages(self, channel: str, limit: int) -> list[AlertMessage]:
        return [one for one in self.stored.values() if one.channel == channel][:limit]

    async def note(self, end: EndAlertMessage) -> bool:
        if self.is_up:
            self.ends.append(end)
            self.stored.pop(end.id, None)
        return self.is_up


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(deliveries, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(deliveries, "REFILL_S", 0.05)


def test_message_waits_for_the_return_of_its_receiver() -> None:
    async def main() -> None:
        store = StoredMessages([])
        with receiving() as receiver:
            receiver.mode = 503
            sent = Deliveries(store, store.note)
            await sent.configure([channel(receiver), channel(receiver, "slack", "chat")])
            sent.post([fresh(1), fresh(1, channel="chat"), fresh(1, channel="removed")])
            await until(lambda: receiver.tries > 4, "the receiver has got some tries")
            assert sent.statuses["ops"].problem == "status 503"
            assert (sent.waiting("ops"), store.ends) == (1, [])
            receiver.mode = "ok"
            await until(lambda: len(store.ends) == 2, "both are delivered")
            await sent.close()
            by_id = {one.headers.get("webhook-id"): one for one in receiver.received}
            assert by_id.keys() == {fresh(1).id, None}
            assert by_id[fresh(1).id].headers["webhook-signature"].startswith("v1,")
            assert {one.outcome for one in store.ends} == {"delivered"}
            assert sent.statuses["ops"].problem == ""

    run(main())


def test_message_that_is_never_taken_holds_up_no_other() -> None:
    async def main() -> None:
        store = StoredMessages([])
        with receiving() as receiver:
            receiver.check = lambda request: 500 if b"p/m1 " in request.body else 200
            sent = Deliveries(store, store.note)
            await sent.configure([channel(receiver)])
            sent.post([fresh(number) for number in (1, 2, 3)])
            await until(lambda: len(store.ends) == 2, "the others are delivered")
            assert sent.waiting("ops") == 1
            receiver.check = lambda _: 422
            await until(lambda: len(store.ends) == 3, "it is rejected for good")
            assert (store.ends[-1].outcome, store.ends[-1].problem) == ("rejected", "status 422")
            await sent.close()

    run(main())


def test_old_message_is_given_up() -> None:
    async def main() -> None:
        store = StoredMessages([])
        with receiving() as receiver:
            receiver.mode = "cut"
            sent = Deliveries(store, store.note)
            await sent.configure([channel(receiver)])
            sent.post([fresh(1), message(2, at=time.time() - deliveries.EXPIRY_S - 1)])
            await until(lambda: store.ends, "one is given up")
            assert [(one.id, one.outcome) for one in store.ends] == [(fresh(2).id, "expired")]
            assert sent.statuses["ops"].expired == 1
            await sent.close()

    run(main())


def test_slow_receiver_is_reported_before_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "SLOW_S", 0.05)

    async def main() -> None:
        store = StoredMessages([])
        with receiving() as receiver:
            receiver.mode = "slow"
            sent = Deliveries(store, store.note)
            await sent.configure([channel(receiver)])
            sent.post([fresh(1)])
            await until(lambda: sent.statuses["ops"].problem, "it is reported")
            assert sent.statuses["ops"].problem == "there is no answer within 0.05 s"
            await sent.close()

    run(main())


def test_memory_is_bounded_and_the_store_has_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MAX_QUEUE", 3)
    monkeypatch.setattr(deliveries, "MAX_KNOWN", 4)
    messages = [fresh(number) for number in range(20)]

    async def main() -> None:
        store = StoredMessages(messages)
        with receiving() as receiver:
            receiver.mode = 503
            status = ChannelStatus(channel="ops")
            queue = ChannelQueue(channel(receiver), store, status, store.note)
            for one in messages:
                queue.post(one)
            assert len(queue) == 3
            running = asyncio.create_task(queue.run())
            await until(lambda: status.problem, "the failure is noted")
            receiver.mode = "ok"
            await until(lambda: status.delivered == 20, "all are delivered")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            ids = [one.headers["webhook-id"] for one in receiver.received]
            assert sorted(ids) == sorted(one.id for one in messages)
            assert len(queue._ended) <= 5

    run(main())


def test_end_is_noted_later_and_the_message_is_not_sent_again() -> None:
    async def main() -> None:
        store = StoredMessages([fresh(1)])
        store.is_up = False
        with receiving() as receiver:
            sent = Deliveries(store, store.note)
            await sent.configure([channel(receiver)])
            await until(lambda: sent.statuses["ops"].delivered, "it is delivered from the store")
            sent.post(store.stored.values())
            await asyncio.sleep(0.2)
            assert len(receiver.received) == 1
            store.is_up = True
            await until(lambda: store.ends, "its end is noted")
            await sent.close()

    run(main())


def test_changed_channel_begins_anew_and_an_absent_one_is_reported() -> None:
    async def main() -> None:
        store = StoredMessages([])
        with receiving() as old, receiving() as new:
            sent = Deliveries(store, store.note)
            await sent.configure([channel(old)])
            await sent.configure([channel(new)])
            sent.post([fresh(1)])
            await until(lambda: new.received, "the new address has got it")
            assert await sent.send_now(fresh(2)) == ""
            assert (len(old.received), len(new.received)) == (0, 2)
            assert await sent.send_now(fresh(2, channel="nobody")) == "the channel is not configured"
            new.mode = 500
            assert await sent.send_now(fresh(2)) == "status 500"
            await sent.configure([])
            assert (sent.statuses, sent.waiting("ops")) == ({}, 0)
            await sent.close()

    run(main())
