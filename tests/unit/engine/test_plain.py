"""Answers to requests that no plan is made for are sent and recorded."""

import json

import pytest

from fakes.engine import engine_before
from fakes.exchange import request_head
from fakes.origin import run
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.engine.handle import PublicApi
from pointsman.transport.http_head import Head
from unit.engine.test_handle import answer, handle


@pytest.mark.parametrize("head", [None, request_head("POST", "/v1/files?purpose=x")])
def test_what_the_server_refuses_is_told_and_written(head: Head | None) -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            failure = Failure(failures.REQUEST_TOO_LARGE, "too large")
            status, lines, body = PublicApi(rig.engine).refuse(failure, head, "192.0.2.1")
            record = await rig.log.next()
            assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
            assert f"x-pointsman-request-id: {record.request_id}\r\n".encode() in lines
            assert all(line.count(b": ") == 1 for line in lines.split(b"\r\n")[:-1])
            assert (record.status, record.message, record.client) == (413, "too large", "192.0.2.1")
            assert (record.method, record.path) == (("", "") if head is None else ("POST", "/v1/files"))

    run(main())


def test_the_models_are_answered_here() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            client = handle(PublicApi(rig.engine), request_head("GET", "/v1/models"))
            record = await rig.log.next()
            assert [model["id"] for model in json.loads(client.body)["data"]] == ["chat", "alpha/m"]
            assert (client.status, record.status, record.path, rig.asked) == (200, 200, "/v1/models", [0])
            missing = handle(PublicApi(rig.engine), request_head("GET", "/v1/models/unheard-of"))
            assert (missing.status, (await rig.log.next()).code) == (404, "model_not_found")

    run(main())
