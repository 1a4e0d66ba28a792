"""Signed messages to a receiver of webhooks, and the meaning of its answers."""

import asyncio

import pytest
from standardwebhooks import Webhook as Oracle

from fakes.origin import run
from fakes.receiver import receiving
from fakes.recipients import SECRET, webhook
from pointsman.admin import delivery
from pointsman.admin.delivery import DeliveryError, Sent, until_decided
from pointsman.admin.webhooks import Webhook

OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_signatures_are_accepted_by_the_reference_library() -> None:
    async def main() -> None:
        with receiving() as receiver:
            one = Webhook(webhook(receiver.port, secrets=(SECRET, OTHER)))
            assert await one.send("msg_1", b'{"a": 1}') == Sent("accepted")
            await one.close()
        (received,) = receiver.received
        assert (received.target, received.headers["x-token"]) == ("/hook", "canary")
        assert received.headers["webhook-id"] == "msg_1"
        for secret in (SECRET, OTHER):
            assert Oracle(secret).verify(received.body, received.headers) == {"a": 1}

    run(main())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (204, Sent("accepted")),
        (400, Sent("rejected", 7, "status 400")),
        (413, Sent("too_large", 7, "its limit of size")),
    ],
)
def test_message_that_is_decided_on(status: int, expected: Sent) -> None:
    async def main() -> None:
        with receiving() as receiver:
            receiver.mode = status
            one = Webhook(webhook(receiver.port))
            assert await one.send("msg_1", b"{}", count=7) == expected
            await one.close()

    run(main())


@pytest.mark.parametrize("mode", [302, 401, 404, 410, 429, 500, "cut"])
def test_message_is_sent_again_with_the_same_id(mode: str | int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.02)
    problems: list[str] = []

    async def main() -> None:
        with receiving() as receiver:
            receiver.mode = mode
            one = Webhook(webhook(receiver.port))
            sending = asyncio.create_task(until_decided(lambda: one.send("msg_1", b"{}"), problems.append))
            while not problems:
                await asyncio.sleep(0.005)
            receiver.mode = "ok"
            assert await sending == Sent("accepted")
            assert [each.headers["webhook-id"] for each in receiver.received] == ["msg_1"]
            await one.close()

    run(main())
    assert "canary" not in str(problems)


def test_requested_wait_is_passed_on() -> None:
    async def main() -> None:
        with receiving() as receiver:
            receiver.mode, receiver.answer_headers = 503, {"retry-after": "7"}
            one = Webhook(webhook(receiver.port))
            with pytest.raises(DeliveryError, match="status 503") as caught:
                await one.send("msg_1", b"{}")
            assert caught.value.retry_after_s == 7
            await one.close()

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "10.0.0.1"])
def test_private_address_is_reached_only_if_it_is_listed(host: str) -> None:
    async def main() -> None:
        with receiving() as receiver:
            one = Webhook(webhook(receiver.port, host=host, allow_private=("192.168.0.0/16",)))
            with pytest.raises(DeliveryError, match=r"list its network in egress\.allow_private"):
                await one.send("msg_1", b"{}")
            await one.close()
            assert receiver.tries == 0

    run(main())


def test_metadata_service_is_reached_in_no_case() -> None:
    async def main() -> None:
        one = Webhook(webhook(80, host="169.254.169.254", allow_private=("0.0.0.0/0",)))
        with pytest.raises(DeliveryError, match="metadata"):
            await one.send("msg_1", b"{}")
        await one.close()

    run(main())
