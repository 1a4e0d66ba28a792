"""Records as objects, with signatures that botocore computes as well."""

import pytest
from msgspec.structs import replace

from fakes.object_store import storing
from fakes.origin import run
from fakes.sinks import object_sink
from pointsman.admin.delivery import DeliveryError, Sent
from pointsman.admin.following import Message
from pointsman.admin.sinks.s3 import OPEN


def test_object_has_a_key_by_date_and_a_valid_signature() -> None:
    async def main() -> None:
        with storing() as store:
            one = OPEN(object_sink(store.receiver.port))
            await one.test()
            for name in ("5-6", "5-6", "7-7"):
                body, count = one.encode([b'{"a":1}', b'{"a":2}'])
                assert await one.send(Message(name, 1.7e9, body, count)) == Sent("accepted")
            await one.close()
        assert sorted(store.objects) == [
            "/logs/a%20b/2023/11/14/5-6.jsonl.gz",
            "/logs/a%20b/2023/11/14/7-7.jsonl.gz",
        ]
        assert store.records == [{"a": 1}, {"a": 2}] * 2
        assert b"canary" not in store.receiver.raw

    run(main())


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        (403, "does not accept the access key"),
        (404, "does not know the bucket"),
        (301, "in another region"),
        (400, "check `region`"),
        (503, "status 503"),
        ("cut", "connection"),
    ],
)
def test_store_that_fails_may_accept_an_object_later(mode: str | int, problem: str) -> None:
    async def main() -> None:
        with storing() as store:
            store.receiver.mode = mode
            one = OPEN(object_sink(store.receiver.port))
            with pytest.raises(DeliveryError, match=problem) as caught:
                await one.send(Message("5-6", 1.7e9, b"x", 1))
            await one.close()
        assert "canary" not in str(caught.value)

    run(main())


def test_other_key_is_not_accepted() -> None:
    async def main() -> None:
        with storing() as store:
            wrong = OPEN(replace(object_sink(store.receiver.port), secrets=("x",)))
            with pytest.raises(DeliveryError, match="access key"):
                await wrong.send(Message("5-6", 1.7e9, b"x", 1))
            await wrong.close()

    run(main())


def test_key_that_may_only_put_objects_passes_the_test() -> None:
    async def main() -> None:
        with storing() as store:
            store.receiver.mode = 403
            one = OPEN(object_sink(store.receiver.port))
            await one.test()
            await one.close()

    run(main())
