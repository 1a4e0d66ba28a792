"""Messages to a collector, and the meaning of its answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from msgspec.structs import replace

from fakes.collector import FakeCollector, collecting
from fakes.export import SETTINGS
from fakes.origin import run
from pointsman.admin.delivery import DeliveryError, Sent, requested_wait_s
from pointsman.admin.export.sender import Sender
from pointsman.transport.fetch import Fetched


@asynccontextmanager
async def sending(collector: FakeCollector, **fields: object) -> AsyncIterator[Sender]:
    one = Sender(replace(SETTINGS, port=collector.port, **fields), "traces")
    try:
        yield one
    finally:
        await one.close()


def test_message_arrives_with_its_headers() -> None:
    async def main() -> None:
        with collecting() as collector:
            async with sending(collector) as one:
                assert await one.send(b"", 0) == Sent("accepted")
            assert collector.headers[0]["authorization"] == "Bearer canary"
            assert collector.headers[0]["content-type"] == "application/x-protobuf"

    run(main())


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("partial", Sent("accepted", 1, "partial success")),
        (400, Sent("rejected", 7, "status 400")),
        (413, Sent("too_large", 7, "its limit of size")),
    ],
)
def test_message_that_is_decided_on(mode: str | int, expected: Sent) -> None:
    async def main() -> None:
        with collecting() as collector:
            collector.mode = mode
            async with sending(collector) as one:
                assert await one.send(b"", 7) == expected

    run(main())


@pytest.mark.parametrize("mode", [302, 401, 404, 429, 500, 503, "html", "garbage"])
def test_message_that_may_be_accepted_later(mode: str | int) -> None:
    async def main() -> None:
        with collecting() as collector:
            collector.mode = mode
            async with sending(collector) as one:
                with pytest.raises(DeliveryError) as caught:
                    await one.send(b"", 7)
        assert "canary" not in str(caught.value)

    run(main())


def test_collector_that_is_slow_or_away_fails_in_time() -> None:
    async def main() -> None:
        with collecting() as collector:
            collector.mode = "slow"
            async with sending(collector, timeout_s=0.2) as one:
                with pytest.raises(DeliveryError):
                    await one.send(b"", 1)
        async with sending(collector) as one:
            with pytest.raises(DeliveryError):
                await one.send(b"", 1)

    run(main())


def test_metadata_service_is_never_reached() -> None:
    async def main() -> None:
        one = Sender(replace(SETTINGS, host="169.254.169.254", port=80), "traces")
        with pytest.raises(DeliveryError, match="metadata"):
            await one.send(b"", 1)
        await one.close()

    run(main())


def test_requested_wait_is_bounded() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    texts = {b"7": 7.0, b"99999999": 60.0, later.encode(): 30.0, b"soon": None, b"": None}
    texts[b"Sun, 06 Nov 99999999999999999999 08:49:37 GMT"] = None
    for text, expected in texts.items():
        found = requested_wait_s(Fetched(503, {b"retry-after": text}, b""))
        assert found == (None if expected is None else pytest.approx(expected, abs=3))


def test_two_messages_use_one_connection() -> None:
    async def main() -> None:
        with collecting() as collector:
            async with sending(collector) as one:
                await one.send(b"", 0)
                await asyncio.sleep(0)
                await one.send(b"", 0)
            assert collector.tries == 2

    run(main())
