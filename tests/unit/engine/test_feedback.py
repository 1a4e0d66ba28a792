"""POST /v1/feedback at the gateway."""

import json

from fakes.engine import running_engine
from fakes.exchange import request_head
from fakes.origin import run
from pointsman.domain.records import Feedback
from pointsman.engine.handle import PublicApi
from unit.engine.test_handle import answer, bearer, error_of, handle, locked

ID = "01939999-0000-7000-8000-0123456789ab"
BODY = json.dumps({"request_id": ID, "score": "up", "comment": "fine"}).encode()


def test_score_is_in_the_record_and_nothing_is_sent() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            locked(rig, b"mine")
            gateway = PublicApi(rig.engine)
            client = handle(gateway, request_head("POST", "/v1/feedback", bearer(b"mine")), BODY)
            assert (client.status, json.loads(client.body)) == (
                200,
                {"object": "feedback", "request_id": ID, "accepted": True},
            )
            record = await rig.log.next()
            assert (record.virtual_key, record.path) == ("mine", "/v1/feedback")
            assert record.feedback == Feedback(request_id=ID, score=1.0, comment="fine")
            assert rig.request_counts == [0]

    run(main())


def test_score_needs_a_virtual_key_and_a_valid_body() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            without = handle(gateway, request_head("POST", "/v1/feedback"), BODY)
            assert (without.status, error_of(without)) == (401, "invalid_api_key")
            locked(rig, b"mine")
            for body, status in ((b"{}", 400), (b" " * 20_000, 413)):
                client = handle(gateway, request_head("POST", "/v1/feedback", bearer(b"mine")), body)
                assert client.status == status
            for _ in range(3):
                assert (await rig.log.next()).feedback is None

    run(main())
