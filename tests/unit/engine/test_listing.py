"""A provider's list is passed on without the objects of other owners."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from fakes.routing import call, endpoint, snapshot
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.state import Touched
from pointsman.engine import listing as module
from pointsman.engine.listing import FilteredList
from unit.engine.test_ownership import Control, before, done, owned

CONFIGURED = snapshot([endpoint("a")])
RED = VirtualKey(name="r", digest=b"r", team="red")


def asked(query: str = "", path: str = "/batches") -> Call:
    found = replace(call("", "batch"), state=Touched(lists="batch"))
    return replace(found, head=RequestHead(method="GET", path=path + query))


def read(asked_for: Call, names: list[str], own: set[str], *, most: int = 100, **page: Any) -> tuple[Any, list[str]]:
    """Return the list that a client gets, and the queries to a provider that stores `names`."""
    ownership, _ = before(*(owned(name, "team:red" if name in own else "team:blue") for name in names))
    listing, queries = FilteredList(asked_for), []
    following: Call | Failure | None = listing.first(asked_for)
    while isinstance(following, Call):
        query = parse_qs(following.head.path.partition("?")[2])
        queries.append(following.head.path.partition("?")[2])
        limit = min(int(query.get("limit", ["20"])[0]), most)
        start = names.index(query["after"][0]) + 1 if "after" in query else 0
        data = [{"id": name, "n": 1} for name in names[start : start + limit]]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        body = json.dumps({"object": "list", "data": data, **ends, "has_more": start + limit < len(names), **page})
        following = done(listing.take(following, body.encode(), "a", ownership, RED))
    return (following, queries) if following is not None else (json.loads(listing.body or b""), queries)


NAMES = [f"b{number:03d}" for number in range(500)]


def test_pages_are_read_until_a_full_page_is_found() -> None:
    own = set(NAMES[::90])  # six
    found, queries = read(asked("?order=asc&limit=4"), NAMES, own)
    assert [one["id"] for one in found["data"]] == sorted(own)[:4]
    assert (found["first_id"], found["last_id"], found["has_more"]) == ("b000", "b270", True)
    assert queries == [f"order=asc&limit=100{after}" for after in ("", "&after=b099", "&after=b199")]
    found, queries = read(asked("?limit=4&after=b270"), NAMES, own)
    assert [one["id"] for one in found["data"]] == ["b360", "b450"]
    assert found["has_more"] is False


def test_unused_rest_of_a_page_is_left_for_the_next_request() -> None:
    found, queries = read(asked("?limit=2"), NAMES[:50], set(NAMES))
    assert ([one["id"] for one in found["data"]], found["has_more"], len(queries)) == (["b000", "b001"], True, 1)


def test_owner_without_objects_gets_an_empty_list() -> None:
    found, _ = read(asked(), NAMES, set())
    assert (found["data"], found["has_more"]) == ([], False)
    assert "b0" not in json.dumps(found)  # no id of another owner's object


def test_files_are_requested_in_larger_pages() -> None:
    _, queries = read(asked(path="/files"), NAMES[:10], set(), most=10_000)
    assert queries == [""]
    _, queries = read(asked("?limit=7", path="/files"), NAMES[:10], set(), most=10_000)
    assert queries == ["limit=100"]


def test_number_of_pages_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 3)
    found, queries = read(asked(), NAMES, {"b499"})
    assert isinstance(found, Failure)
    assert (found.kind.code, len(queries)) == ("state_unavailable", 3)
    found, queries = read(asked(), NAMES, {"b099", "b499"})
    assert ([one["id"] for one in found["data"]], found["has_more"], len(queries)) == (["b099"], True, 3)


def test_body_that_is_not_a_list_is_not_passed_on() -> None:
    ownership, _ = before()
    for body in (b"", b"[]", b'{"data":{}}', b'{"object":"list"}', b'{"data":[1]}', b"<html>"):
        listing = FilteredList(asked())
        found = done(listing.take(asked(), body, "a", ownership, RED))
        assert isinstance(found, Failure), body
        assert listing.body is None


def test_elements_without_an_id_are_omitted() -> None:
    found, _ = read(asked(), [""], set())
    assert found["data"] == []


def test_list_is_not_passed_on_if_owners_are_unknown() -> None:
    ownership, control = before(owned("b1"))
    assert isinstance(control, Control)
    control.unable = LeaseUnavailable("control is away")
    found = done(FilteredList(asked()).take(asked(), b'{"data":[{"id":"b1"}]}', "a", ownership, RED))
    assert isinstance(found, Failure)
    assert found.kind.code == "state_unavailable"


def test_parameter_before_is_rejected() -> None:
    found = FilteredList(asked("?before=b1")).first(asked("?before=b1"))
    assert isinstance(found, Failure)
    assert found.param == "before"
