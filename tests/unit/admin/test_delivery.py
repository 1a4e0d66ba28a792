"""Messages are sent again until their server has decided."""

import asyncio

import pytest

from fakes.origin import run
from fakes.receiver import receiving
from fakes.recipients import webhook
from pointsman.admin import delivery
from pointsman.admin.delivery import DeliveryError, RecipientClient, until_decided


def test_pauses_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    async def send() -> int:
        if len(pauses) < 8:
            raise DeliveryError("away")
        return 7

    monkeypatch.setattr(asyncio, "sleep", sleep)
    problems: list[str] = []
    assert run(until_decided(send, problems.append)) == 7
    assert problems == ["away"] * 8
    for pause_s, most_s in zip(pauses, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert 0.8 * most_s <= pause_s <= most_s


def test_slow_answer_is_reported_before_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SLOW_S", 0.02)
    problems: list[str] = []

    async def main() -> None:
        may_end = asyncio.Event()

        async def send() -> int:
            await may_end.wait()
            return 7

        sending = asyncio.create_task(until_decided(send, problems.append))
        while not problems:
            await asyncio.sleep(0.005)
        may_end.set()
        assert await sending == 7

    run(main())
    assert problems == ["there is no answer within 0.02 s"]


def test_connection_that_the_server_closed_is_replaced() -> None:
    async def main() -> None:
        with receiving() as receiver:
            client = RecipientClient(webhook(receiver.port))
            for _ in range(2):
                assert (await client.send(b"PUT", b"/x", b"", b"1")).status == 200
                await asyncio.sleep(0)
            await client.close()
            assert [one.method for one in receiver.received] == ["PUT", "PUT"]

    run(main())
