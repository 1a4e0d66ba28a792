"""Admission of virtual keys."""

import hashlib

import pytest

from pointsman.domain.failures import Failure
from pointsman.domain.holds import Held, Hold
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.admit import Admission, admit, check_time, pause_of

DIGEST = hashlib.sha256(b"vk-known").digest()
KEY = VirtualKey(name="notebook", digest=DIGEST)


def snapshot(*, require_key: bool) -> Snapshot:
    return Snapshot(digest="d", endpoints={}, models={}, virtual_keys={DIGEST: KEY}, require_key=require_key)


@pytest.mark.parametrize("require_key", [True, False])
def test_known_key_is_admitted_with_its_name(require_key: bool) -> None:
    assert admit(DIGEST, snapshot(require_key=require_key)) == Admission(KEY)


@pytest.mark.parametrize("credential", [None, b"", hashlib.sha256(b"other").digest(), b"vk-known"])
def test_unknown_keys_are_rejected_if_a_key_is_required(credential: bytes | None) -> None:
    failure = admit(credential, snapshot(require_key=True))
    assert isinstance(failure, Failure)
    assert (failure.kind.code, failure.kind.status) == ("invalid_api_key", 401)


def test_rejections_have_the_same_message() -> None:
    closed = snapshot(require_key=True)
    assert admit(None, closed) == admit(b"x", closed)


def test_open_mode_admits_requests_without_a_name() -> None:
    for credential in (None, b"unknown"):
        assert admit(credential, snapshot(require_key=False)) == Admission(None)


def test_key_is_rejected_once_it_expires() -> None:
    key = VirtualKey(name="notebook", digest=DIGEST, expires_at=100.0)
    assert check_time(key, 99.9) is check_time(KEY, 1e12) is check_time(None, 1e12) is None
    failure = check_time(key, 100.0)
    assert failure is not None
    assert failure.kind.code == "invalid_api_key"
    assert "notebook" not in failure.message


@pytest.mark.parametrize("owner", ["virtual_key:kid", "virtual_key:app", "team:red", "customer:acme"])
def test_key_is_paused_with_any_of_its_owners(owner: str) -> None:
    key = VirtualKey(name="kid", digest=b"", parent="app", team="red", customer="acme")
    held = Held(Hold(owner.replace(":", "="), reason="audit"), until=5.0)
    failure = pause_of(key, {owner: held}, 4.9)
    assert failure is not None
    assert (failure.kind.code, failure.kind.status) == ("key_paused", 403)
    assert failure.message.endswith(": audit")
    assert pause_of(key, {owner: held}, 5.0) is None
    assert pause_of(VirtualKey(name="other", digest=b""), {owner: held}, 4.9) is None
