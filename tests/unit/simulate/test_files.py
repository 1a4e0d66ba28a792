"""Files belong to a key, as at real providers."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for, form, rejected
from pointsman.simulate.files import FileStore


@pytest.fixture
def store() -> FileStore:
    return FileStore()


def upload(store: FileStore, key: str = "sk-a", index: int = 0) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(store.upload(form(key, index, purpose="batch", file=b"\x00data\xff")).body)
    return record


def at(store: FileStore, method: str, tail: str, key: str = "sk-a") -> Any:
    endpoint = store.endpoint(method, tail)
    assert endpoint is not None
    return endpoint(context_for(key=key))


def test_file_is_described_listed_and_read(store: FileStore) -> None:
    record = upload(store)
    assert (record["bytes"], record["filename"], record["purpose"]) == (6, "a.bin", "batch")
    assert json.loads(at(store, "GET", record["id"]).body) == record
    assert at(store, "GET", record["id"] + "/content").body == b"\x00data\xff"
    assert json.loads(store.list(context_for()).body)["data"] == [record]


def test_file_is_invisible_to_another_key(store: FileStore) -> None:
    record, other = upload(store), upload(store, "sk-b", index=1)
    assert [item["id"] for item in json.loads(store.list(context_for(key="sk-b")).body)["data"]] == [other["id"]]
    for method, tail in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        found = rejected(lambda method=method, tail=tail: at(store, method, record["id"] + tail, "sk-b"))  # type: ignore[misc]
        assert found["status"] == 404
    assert at(store, "GET", record["id"]).status == 200


def test_file_can_be_deleted_once(store: FileStore) -> None:
    record = upload(store)
    assert json.loads(at(store, "DELETE", record["id"]).body)["deleted"] is True
    assert rejected(lambda: at(store, "DELETE", record["id"]))["status"] == 404


def test_clearing_deletes_all_files(store: FileStore) -> None:
    upload(store)
    store.clear()
    assert json.loads(store.list(context_for()).body)["data"] == []


@pytest.mark.parametrize(("method", "tail"), [("PUT", "file-1"), ("POST", "file-1"), ("GET", "file-1/other")])
def test_other_paths_are_not_found(store: FileStore, method: str, tail: str) -> None:
    assert store.endpoint(method, tail) is None


def test_form_without_its_fields_is_rejected(store: FileStore) -> None:
    assert rejected(lambda: store.upload(form(purpose="batch")))["param"] == "file"
    assert rejected(lambda: store.upload(form(file=b"x")))["param"] == "purpose"
