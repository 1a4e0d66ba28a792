"""Rows of the store become values of keys that are valid for a time."""

import time
from typing import Any

from pointsman.control.key_file import live_rows


def row(**fields: Any) -> dict[str, Any]:
    own = {"name": "app", "digest": "01" * 32, "previous_digest": "", "previous_until": None, "expires_at": None}
    return {**own, "is_enabled": 1, "parent": "", "changed": 7, **fields}


def test_key_has_one_value() -> None:
    (one,) = live_rows(row(parent="big", is_enabled=0, expires_at=5.0), 3)
    assert (one.name, one.policy, one.parent, one.expires_at, one.changed) == ("app", 3, "big", 5.0, 7)
    assert not one.is_enabled


def test_previous_value_is_valid_for_its_grace_but_not_longer_than_the_key() -> None:
    now = time.time()
    before = {"previous_digest": "02" * 32, "previous_until": now + 60}
    _, older = live_rows(row(**before), 3)
    assert (older.digest, older.is_current, older.expires_at) == (b"\x02" * 32, False, now + 60)
    _, older = live_rows(row(**before, expires_at=now + 30), 3)
    assert older.expires_at == now + 30
    assert len(live_rows(row(**{**before, "previous_until": now - 1}), 3)) == 1
