"""Stored resources are visible only to their key."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.answers import RequestContext
from pointsman.simulate.files import FileStore
from pointsman.simulate.resources import KINDS, ResourceStore


class Account:
    def __init__(self) -> None:
        self.files = FileStore()
        self.store = ResourceStore(self.files)
        self._index = 0

    def __call__(self, method: str, tail: str, body: Any = None, key: str = "sk-a") -> Any:
        self._index += 1
        context: RequestContext = context_for(body or {}, key=key, index=self._index)
        context.request.method, context.request.target = method, f"/v1/{tail}"
        endpoint = self.store.endpoint(method, tail.partition("?")[0])
        assert endpoint is not None
        return json.loads(endpoint(context).body)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_is_created_listed_changed_and_deleted(kind: str) -> None:
    account = Account()
    created = account("POST", kind, {"metadata": {"a": "b"}})
    assert (created["object"], created["metadata"]) == (KINDS[kind][1], {"a": "b"})
    path = f"{kind}/{created['id']}"
    assert account("GET", path) == account("POST", path) == created
    assert account("GET", f"{path}/parts") == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip
    for method, below in (("GET", ""), ("DELETE", ""), ("GET", "/parts"), ("POST", "/cancel")):
        found = rejected(lambda below=below, method=method: account(method, path + below, key="sk-b"))  # type: ignore[misc]
        assert found["status"] == 404
    assert account("DELETE", path)["deleted"] is True
    assert rejected(lambda: account("GET", path))["status"] == 404


def test_lists_come_in_pages() -> None:
    account = Account()
    names = [account("POST", "evals")["id"] for _ in range(5)]
    page = account("GET", "evals?limit=2")
    assert ([item["id"] for item in page["data"]], page["last_id"], page["has_more"]) == (names[:2], names[1], True)
    page = account("GET", f"evals?limit=9&after={names[1]}")
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (names[2:], False)
    assert account("GET", "evals", key="sk-b")["data"] == []


def test_uploads_create_files() -> None:
    account = Account()
    upload = account("POST", "uploads")["id"]
    file = account("POST", f"uploads/{upload}/complete")["file"]["id"]
    assert file in {item["id"] for item in json.loads(account.files.list(context_for()).body)["data"]}
    thread = account("POST", "threads/runs")["thread_id"]
    assert account("GET", f"threads/{thread}")["id"] == thread
    video = account("POST", "videos")["id"]
    assert account("POST", f"videos/{video}/remix")["remixed_from_video_id"] == video


def test_other_paths_are_not_found() -> None:
    store = ResourceStore(FileStore())
    assert store.endpoint("GET", "organization/users") is None
    assert store.endpoint("PUT", "evals") is None
