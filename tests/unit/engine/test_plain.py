"""Answers to requests without a plan are sent and recorded."""

import json

import pytest

from fakes.engine import running_engine
from fakes.exchange import request_head
from fakes.origin import run
from fakes.wire import rejected
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.engine.handle import PublicApi
from pointsman.transport.http_head import Head
from unit.engine.test_handle import answer, handle, locked


@pytest.mark.parametrize("head", [None, request_head("POST", "/v1/files?purpose=x")])
def test_rejection_by_the_server_is_answered_and_logged(head: Head | None) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            failure = Failure(failures.REQUEST_TOO_LARGE, "too large")
            status, lines, body = PublicApi(rig.engine).compose_rejection(failure, head, "192.0.2.1")
            record = await rig.log.next()
            assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
            assert f"x-pointsman-request-id: {record.request_id}\r\n".encode() in lines
            assert all(line.count(b": ") == 1 for line in lines.split(b"\r\n")[:-1])
            assert (record.status, record.message, record.client) == (413, "too large", "192.0.2.1")
            assert (record.method, record.path) == (("", "") if head is None else ("POST", "/v1/files"))

    run(main())


def test_list_of_models_is_answered_by_the_gateway() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            client = handle(PublicApi(rig.engine), request_head("GET", "/v1/models"))
            record = await rig.log.next()
            assert [model["id"] for model in json.loads(client.body)["data"]] == ["chat", "alpha/m"]
            assert (client.status, record.status, record.path, rig.request_counts) == (200, 200, "/v1/models", [0])
            missing = handle(PublicApi(rig.engine), request_head("GET", "/v1/models/unheard-of"))
            assert (missing.status, (await rig.log.next()).code) == (404, "model_not_found")

    run(main())


def test_list_of_models_has_the_shape_and_the_id_of_its_clients_dialect() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            headers = {b"anthropic-version": b"2023-06-01"}
            gateway = PublicApi(rig.engine)
            client = handle(gateway, request_head("GET", "/v1/models?limit=1000", headers))
            record = await rig.log.next()
            found = json.loads(client.body)
            assert [model["id"] for model in found["data"]] == ["chat", "claude-via-chat", "alpha/m"]
            assert (found["has_more"], found["first_id"], found["last_id"]) == (False, "chat", "alpha/m")
            assert f"request-id: {record.request_id}\r\n".encode() in client.written
            missing = handle(gateway, request_head("GET", "/v1/models/claude-via-x", headers))
            assert (missing.status, json.loads(missing.body)["type"]) == (404, "error")

    run(main())


@pytest.mark.parametrize("path", ["/", "/anthropic", "/anthropic/", "/?x=1", "/api/hello", "/anthropic/api/hello"])
def test_probe_of_a_base_address_is_answered(path: str) -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"right")  # a probe needs no key
            client = handle(gateway, request_head("HEAD", path))
            assert (client.status, client.body) == (200, b"")
            assert rejected(lambda: handle(gateway, request_head("GET", path))).kind.status == 404
            assert rig.log.records == [], "probes are not logged"
            failure = rejected(lambda: handle(gateway, request_head("HEAD", "/v1/messages")))
            assert (failure.kind.status, failure.allow) == (405, "POST")

    run(main())
