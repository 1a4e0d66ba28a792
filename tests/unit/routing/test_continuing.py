"""The plan of a continuation has only candidates whose model continues a text, and only requests that may be sent twice
have one."""

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import FakeView, call, endpoint, plan_for, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.snapshots import NO_SNAPSHOT, Failover, Routing
from pointsman.domain.targets import candidate
from pointsman.routing.continuing import continuing, is_break, may_continue, may_follow
from pointsman.wire.openai_chat._resuming import continued
from pointsman.wire.upstreams import SPOKEN

CALL = Call(
    operation="chat",
    head=RequestHead(path="/chat/completions"),
    snapshot=NO_SNAPSHOT,
    model="m",
    fields={"messages": Raw(b'[{"role":"user","content":"Say"}]')},
    stream=True,
)
ON = Routing(failover=Failover(stream_recovery="continue"))


def rest(call: Call = CALL, text: str = "So far", **fields: bytes) -> Call:
    given = {**call.fields, **{name: Raw(value) for name, value in fields.items()}}
    return replace(call, fields=continued(given, text))


def test_only_models_that_continue_a_text_stay_in_the_plan() -> None:
    names = ("alpha", "beta", "gamma")
    endpoints = [endpoint(name) for name in names]
    view = FakeView(snapshot(endpoints, [candidate(one, "m") for one in endpoints]))
    plan = plan_for(call(), view)
    found = continuing(plan, rest(), 7.0, lambda item: SPOKEN["openai"] if item.endpoint.name == "beta" else None)
    assert [one.candidate.endpoint.name for one in found.choices] == ["beta"]
    assert (found.deadline, found.hedging, found.instead) == (7.0, None, ())
    assert not continuing(plan, rest(), 7.0, lambda _: None).choices


def test_request_that_the_dialect_cannot_express_does_not_move() -> None:
    item = candidate(endpoint("alpha"), "m")
    plan = plan_for(call(), FakeView(snapshot([endpoint("alpha")], [item])))
    strange = rest(logit_bias=b'{"5": 1}')
    assert continuing(plan, strange, 7.0, lambda _: SPOKEN["openai"]).choices
    assert not continuing(plan, strange, 7.0, lambda _: SPOKEN["anthropic"]).choices


def test_text_is_kept_only_with_the_setting() -> None:
    plan = plan_for(call(), FakeView(snapshot([endpoint("alpha")], [candidate(endpoint("alpha"), "m")])))
    assert not may_follow(plan, CALL)
    on = replace(plan, routing=ON)
    assert may_follow(on, CALL)
    assert not may_follow(replace(on, pinned=True), CALL)
    assert not may_follow(replace(on, max_attempts=1), CALL)


@pytest.mark.parametrize(
    ("fields", "is_continued"),
    [
        ({}, True),
        ({"response_format": b'{"type":"json_object"}'}, False),
        ({"logprobs": b"true"}, False),
        ({"store": b"true"}, False),
    ],
)
def test_requests_that_may_be_continued(fields: dict[str, Any], is_continued: bool) -> None:
    assert may_continue(rest(**fields), "So far", is_unstored=False) is is_continued


def test_text_must_not_be_blank() -> None:
    assert not may_continue(rest(text=" \n"), " \n", is_unstored=False)
    assert may_continue(rest(store=b"true"), "So far", is_unstored=True)


@pytest.mark.parametrize(
    ("kind", "is_continued"),
    [
        (failures.TRUNCATED, True),
        (failures.STALLED, True),
        (failures.CONNECTION_LOST, True),
        (failures.UPSTREAM_RATE_LIMITED, True),
        (failures.STREAM_TOO_LONG, False),
        (failures.CONTENT_FILTERED, False),
        (failures.CLIENT_GONE, False),
    ],
)
def test_only_breaks_by_the_provider_are_continued(kind: failures.Kind, is_continued: bool) -> None:
    assert is_break(Failure(kind, "")) is is_continued
