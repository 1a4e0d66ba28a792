"""Records as signed messages."""

import json

from standardwebhooks import Webhook as Oracle

from fakes.origin import run
from fakes.receiver import receiving
from fakes.recipients import SECRET
from fakes.sinks import webhook_sink
from pointsman.admin.delivery import Sent
from pointsman.admin.following import Message
from pointsman.admin.sinks.webhook import OPEN


def test_records_arrive_signed_under_an_id_of_their_own() -> None:
    async def main() -> None:
        with receiving() as receiver:
            one = OPEN(webhook_sink(receiver.port))
            body, count = one.encode([b'{"a":1}', b'{"a":2}'])
            assert await one.send(Message("5-6", 0.0, body, count)) == Sent("accepted")
            receiver.mode = 413
            assert await one.send(Message("7-8", 0.0, body, count)) == Sent("too_large", 2, "its limit of size")
            await one.close()
        (received,) = receiver.received
        assert received.headers["webhook-id"] == "one-5-6"
        found = Oracle(SECRET).verify(received.body, received.headers)
        assert (found["type"], found["data"]) == ("requests", [{"a": 1}, {"a": 2}])
        assert json.loads(received.body)["timestamp"].endswith("Z")

    run(main())
