"""Rules for every path of the public API found in `wire/api/`, without naming any."""

from typing import Any

import pytest

from fakes.wire import CHAT, TABLE, parse, parsed_head, rejected
from pointsman.domain.calls import Call
from pointsman.domain.failures import Rejection
from pointsman.domain.operations import OPERATIONS, STATEFUL
from pointsman.registry import members
from pointsman.wire import PATHS
from pointsman.wire.dialects.gemini.spelling import camel
from pointsman.wire.paths import ApiPath

PARSED = [path for path in PATHS if path.parse is not None]
BAD_BODIES = [
    b"[]",
    b"{",
    b'{"a":1,"a":2}',
    b'{"a":"\xff"}',
    b'{"a":' * 100_000,
    b'{"model":1}',
    b'{"Model":"x"}',
    b"\x00",
]


def _id(path: ApiPath) -> str:
    return path.path


def test_every_file_contributes_its_paths_once() -> None:
    found = [path for _, paths in members("pointsman.wire.api", "PATHS") for path in list(paths)]  # type: ignore[call-overload]
    assert found == list(PATHS)
    for path in PATHS:
        assert sum(other.path == path.path and bool(other.methods & path.methods) for other in PATHS) == 1


@pytest.mark.parametrize("path", PATHS, ids=_id)
def test_path_is_found_by_each_of_its_methods_and_no_other(path: ApiPath) -> None:
    assert path.path.startswith("/")
    assert not path.path.endswith("/")
    assert path.methods
    for method in path.methods:
        assert TABLE.find(method, path.path) is path
        if path.is_prefix:
            assert TABLE.find(method, path.path + "/x/y") is path
    assert rejected(lambda: TABLE.find("TRACE", path.path)).kind.status == 405
    assert rejected(lambda: TABLE.find("GET", path.path + "x")).kind.status == 404


@pytest.mark.parametrize("path", PATHS, ids=_id)
def test_only_paths_answered_from_the_head_have_no_parser(path: ApiPath) -> None:
    assert (path.parse is None) is (path.body == "none")


@pytest.mark.parametrize("path", PARSED, ids=_id)
@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:12]))
def test_bad_body_is_a_400_on_every_path(path: ApiPath, body: bytes) -> None:
    assert rejected(lambda: parse(body, path.path)).kind.status == 400


@pytest.mark.parametrize("path", PARSED, ids=_id)
def test_call_contains_the_facts_of_its_head(path: ApiPath) -> None:
    body = {**CHAT, "prompt": "p", "input": "i", "fallbacks": ["a/b"], "max_tokens": 5, "unknown": {"kept": [1]}}
    body |= {"contents": [], "content": {}, "requests": [{"content": {"parts": [{"text": "t"}]}}]}
    facts: dict[str, Any] = {
        "provider": "p",
        "timeout_s": 1.5,
        "session": "s",
        "tags": {"a": "b"},
        "forwarded": (("accept", "x"),),
    }
    call = parse(body, path.path + "?q=1", **facts)
    head = call.head
    assert (call.operation, head.method, head.path, call.model) == (
        path.operation,
        "POST",
        path.path + "?q=1",
        "m",
    )
    assert {name: getattr(head, name) for name in facts} == facts
    assert call.fallbacks == ("a/b",)
    kept = set(body) - {"fallbacks"}
    if head.model:  # the path names it, and names of fields are in one spelling
        kept = {camel(name) for name in kept} - {"model"}
    assert set(call.fields) == kept
    assert bytes(call.fields["unknown"]) == b'{"kept": [1]}'
    assert call.stateful or path.operation not in STATEFUL


@pytest.mark.parametrize("path", PARSED, ids=_id)
def test_empty_body_is_a_call_only_if_none_is_required(path: ApiPath) -> None:
    try:
        outcome: Call | Rejection = parse(b"", path.path)
    except Rejection as rejection:
        outcome = rejection
    assert isinstance(outcome, Call) is (path.body == "stream")


def test_every_operation_is_reached_by_some_path() -> None:
    assert {parsed_head(path.path).api.operation for path in PARSED} == set(OPERATIONS)
