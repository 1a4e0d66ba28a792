"""A response that a provider cannot complete ends with the event that clients wait for."""

import json

import pytest

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.wire.dialects.openai_responses.failed import NOT_BEGUN, Begun, begun, failed_event

STALLED = Failure(failures.STALLED, "too slow")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"response":{"id":"resp_1","created_at":5,"model":"m","tools":[{}]}}', Begun("resp_1", 5, "m")),
        (b'{"response":{"id":"resp_1","created_at":5.5}}', Begun("resp_1", 5.5)),
        (b'{"response":{"id":5}}', NOT_BEGUN),
        (b"{}", NOT_BEGUN),
        (b"not json", NOT_BEGUN),
    ],
)
def test_facts_of_the_beginning_are_read(data: bytes, expected: Begun) -> None:
    assert begun(data) == expected


def test_event_has_the_response_its_error_and_its_number() -> None:
    event = failed_event(Begun("resp_1", 5, "m"), STALLED, "id-1", 7)
    assert event.startswith(b"event: response.failed\ndata: {")
    assert event.endswith(b"}\n\n")
    found = json.loads(event.partition(b"data: ")[2])
    assert (found["type"], found["sequence_number"], found["error"]["code"]) == ("response.failed", 7, "stream_stalled")
    response = found["response"]
    assert (response["id"], response["status"], response["model"]) == ("resp_1", "failed", "m")
    assert response["error"] == {"code": "server_error", "message": "too slow (request id-1)"}
