"""Keys made by API: the store, the file of keys and the configuration agree, also after a crash between two steps."""

import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fakes.control import CONFIG, ControlPlane, control_plane
from integration.gateway import run, until
from pointsman.control.inquiries.keys import DeleteKey, MakeKeyOrder, RotateKey, Scope, SetKey
from pointsman.control.keys import KeyBook, KeyRejectedError
from pointsman.domain.identity import KeysUnavailableError, VirtualKey

TEAMS = CONFIG.replace("teams: {", "teams: {ops: {}, ").replace("me: {", "me: {child_keys: {at_most: 2}, ")


def in_plane(folder: Path, check: Callable[[ControlPlane, KeyBook], Awaitable[None]], config: str = TEAMS) -> None:
    async def main() -> None:
        async with control_plane(folder, config=config) as plane:
            keys = plane.inquiry_handler.parts.keys
            await until(lambda: not keys._is_behind, "the keys are read from the store")
            await check(plane, keys)

    run(main())


def admitted(plane: ControlPlane, value: str | None) -> VirtualKey | None:
    table = plane.inquiry_handler.parts.configuration.current.snapshot.virtual_keys
    return table.get(sha256((value or "").encode()).digest())


def order(name: str = "app", *, scope: Scope | None = None, **settings: Any) -> MakeKeyOrder:
    return MakeKeyOrder(name=name, settings=json.dumps(settings).encode(), author="me", scope=scope)


async def rejected(change: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(KeyRejectedError) as raised:
        await change
    return raised.value.code, str(raised.value)


def test_value_is_replaced_with_or_without_grace(tmp_path: Path) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        first = (await keys.make(order(team="research"))).value
        second = (await keys.rotate(RotateKey(name="app", author="me", grace_s=60))).value
        before, now = admitted(plane, first), admitted(plane, second)
        assert before is not None
        assert now is not None
        assert (before.name, before.expires_at is not None, now.expires_at) == ("app", True, None)
        third = (await keys.rotate(RotateKey(name="app", author="me"))).value
        assert [admitted(plane, one) is not None for one in (first, second, third)] == [False, False, True]

    in_plane(tmp_path, check)


def test_settings_are_changed_field_by_field(tmp_path: Path) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        value = (await keys.make(order(team="research", labels={"a": "1"}))).value
        await keys.set(
            SetKey(name="app", author="me", settings=b'{"team": "ops", "labels": null, "from": ["10.0.0.0/8"]}')
        )
        key = admitted(plane, value)
        assert key is not None
        assert (key.team, key.labels, key.networks) == ("ops", {}, ("10.0.0.0/8",))
        await keys.set(SetKey(name="app", author="me", is_enabled=False))
        assert admitted(plane, value) is None
        await keys.set(SetKey(name="app", author="me", is_enabled=True, expires_at=4e9))
        key = admitted(plane, value)
        assert key is not None
        assert key.expires_at == 4e9

    in_plane(tmp_path, check)


def test_change_of_another_version_is_rejected(tmp_path: Path) -> None:
    async def check(_: ControlPlane, keys: KeyBook) -> None:
        made = json.loads((await keys.make(order())).row)
        stale = SetKey(name="app", author="me", note="x", version=made["changed"] - 1)
        assert (await rejected(keys.set(stale)))[0] == "changed"
        await keys.set(SetKey(name="app", author="me", note="x", version=made["changed"]))

    in_plane(tmp_path, check)


def test_names_are_of_one_space(tmp_path: Path) -> None:
    async def check(_: ControlPlane, keys: KeyBook) -> None:
        await keys.make(order())
        code, message = await rejected(keys.make(order()))
        assert (code, "made by API on 20" in message) == ("exists", True)
        code, message = await rejected(keys.make(order("me")))
        assert (code, "of the configuration file" in message) == ("exists", True)
        assert (await rejected(keys.delete(DeleteKey(name="me", author="me"))))[0] == "managed_by_file"
        assert (await rejected(keys.make(order("no/name"))))[0] == "invalid_request"

    in_plane(tmp_path, check)


def test_digest_of_another_key_is_rejected(tmp_path: Path) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        own = sha256(b"a value of my own, long enough").hexdigest()
        made = await keys.make(MakeKeyOrder(name="app", settings=b"{}", author="me", digest=own))
        assert made.value is None
        assert admitted(plane, "a value of my own, long enough") is not None
        for digest in (own, sha256(b"pm-key-of-the-tests-me").hexdigest()):
            again = MakeKeyOrder(name="b", settings=b"{}", author="me", digest=digest)
            assert (await rejected(keys.make(again)))[0] == "exists"

    in_plane(tmp_path, check)


def test_children_have_bounds_and_end_with_their_parent(tmp_path: Path) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        body = b'{"expires_in_s": 60, "budgets": [{"limit_usd": 1, "per": "year"}]}'
        made, expires_at = await keys.make_child("me", body)
        child = admitted(plane, made.value)
        assert child is not None
        assert (child.parent, child.team, child.expires_at) == ("me", "research", expires_at)
        assert [one.owner for one in child.limits] == [
            f"virtual_key:{child.name}", "virtual_key:me", "team:research"
        ]  # fmt: skip
        assert (await rejected(keys.make_child(child.name, b"{}")))[0] == "invalid_request"
        assert (await rejected(keys.make_child("me", b'{"expires_in_s": 1e9}')))[0] == "invalid_request"
        assert "set only allow_models, budgets" in (await rejected(keys.make_child("me", b'{"team": "ops"}')))[1]
        await keys.make_child("me", b"{}")
        assert (await rejected(keys.make_child("me", b"{}")))[0] == "rate_limited"

        value = (await keys.make(order(allow_models=["gpt-*"], child_keys={}))).value
        kid = (await keys.make_child("app", b'{"allow_models": ["gpt-4o"]}'))[0].value
        assert admitted(plane, kid) is not None
        assert "may not request 'o1'" in (await rejected(keys.make_child("app", b'{"allow_models": ["o1"]}')))[1]
        assert "may not request '*'" in (await rejected(keys.make_child("app", b'{"allow_models": ["*"]}')))[1]
        await keys.set(SetKey(name="app", author="me", is_enabled=False))
        assert admitted(plane, kid) is None
        assert (await rejected(keys.make_child("app", b"{}")))[0] == "child_key_not_allowed"
        await keys.delete(DeleteKey(name="app", author="me"))
        assert admitted(plane, kid) is admitted(plane, value) is None
        store = plane.inquiry_handler.parts.ingest.store
        assert store is not None
        assert await store.api_keys.children("app") == []

    in_plane(tmp_path, check)


def test_caller_with_a_scope_changes_its_own_keys_only(tmp_path: Path) -> None:
    async def check(_: ControlPlane, keys: KeyBook) -> None:
        mine: Scope = {"team": ["research"]}
        await keys.make(order("theirs", team="ops"))
        await keys.make(order("mine", team="research", scope=mine))
        assert (await rejected(keys.make(order("b", team="ops", scope=mine))))[0] == "forbidden"
        assert (await rejected(keys.make(order("c", scope=mine))))[0] == "forbidden"
        moved = SetKey(name="mine", author="me", settings=b'{"team": "ops"}', scope=mine)
        assert (await rejected(keys.set(moved)))[0] == "forbidden"
        for change in (
            keys.set(SetKey(name="theirs", author="me", note="x", scope=mine)),
            keys.rotate(RotateKey(name="theirs", author="me", scope=mine)),
            keys.delete(DeleteKey(name="theirs", author="me", scope=mine)),
        ):
            assert (await rejected(change))[0] == "not_found"
        await keys.delete(DeleteKey(name="mine", author="me", scope=mine))

    in_plane(tmp_path, check)


def test_revoked_key_is_gone_after_a_crash_between_the_store_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[str | None] = []

    async def crash(plane: ControlPlane, keys: KeyBook) -> None:
        values.append((await keys.make(order(team="research"))).value)

        def fail(*_: object) -> None:
            raise KeysUnavailableError("no space left")

        monkeypatch.setattr(keys._file, "write", fail)
        monkeypatch.setattr(keys, "_fall_behind", lambda: None)  # control is dead
        assert (await rejected(keys.delete(DeleteKey(name="app", author="me"))))[0] == "not_taken"
        assert admitted(plane, values[0]) is not None

    async def restarted(plane: ControlPlane, keys: KeyBook) -> None:
        assert admitted(plane, values[0]) is None

    in_plane(tmp_path, crash)
    in_plane(tmp_path, restarted)


def test_file_that_cannot_be_written_is_brought_up_to_date_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        value = (await keys.make(order())).value

        def fail(*_: object) -> None:
            raise KeysUnavailableError("no space left")

        monkeypatch.setattr(keys._file, "write", fail)
        await rejected(keys.delete(DeleteKey(name="app", author="me")))
        await until(lambda: not keys._is_behind, "the file is up to date")
        assert admitted(plane, value) is None

    in_plane(tmp_path, check)


def test_lost_file_is_made_anew_from_the_store(tmp_path: Path) -> None:
    values: list[str | None] = []

    async def make(_: ControlPlane, keys: KeyBook) -> None:
        values.extend([(await keys.make(order(f"key-{number}", team="ops"))).value for number in range(3)])

    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        assert [key.name for value in values if (key := admitted(plane, value)) is not None] == [
            "key-0", "key-1", "key-2"
        ]  # fmt: skip

    in_plane(tmp_path, make)
    for path in tmp_path.glob("api-keys.db*"):
        path.unlink()
    in_plane(tmp_path, check)


def test_reload_recompiles_policies_or_is_rejected(tmp_path: Path) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        value = (await keys.make(order(team="ops"))).value
        configuration = plane.inquiry_handler.parts.configuration
        file = tmp_path / "pointsman.yaml"
        file.write_text(TEAMS.replace("ops: {}", "ops: {labels: {tier: gold}}"))
        assert (await configuration.reload())[0]
        key = admitted(plane, value)
        assert key is not None
        assert key.labels == {"tier": "gold"}
        file.write_text(TEAMS.replace("ops: {}, ", ""))
        is_taken, messages = await configuration.reload()
        assert not is_taken
        assert "such as app: team: unknown team 'ops'" in messages[0]
        file.write_text(TEAMS.replace("virtual_keys: {", f"virtual_keys: {{app: {{value: 'sha256:{'0' * 64}'}}, "))
        assert "also the name of a key that was made by API" in str((await configuration.reload())[1])
        assert admitted(plane, value) is key

    in_plane(tmp_path, check)


def test_expired_children_are_deleted_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        await keys.make_child("me", b"{}")
        await keys.prune()
        store = plane.inquiry_handler.parts.ingest.store
        assert store is not None
        assert len(await store.api_keys.children("me")) == 1
        monkeypatch.setattr("pointsman.control.keys.KEEP_CHILDREN_S", -86_400.0)
        await keys.prune()
        assert await store.api_keys.children("me") == []

    in_plane(tmp_path, check)


def test_damaged_file_is_noticed_and_made_anew(tmp_path: Path) -> None:
    async def check(plane: ControlPlane, keys: KeyBook) -> None:
        value = (await keys.make(order(team="ops"))).value
        keys._file.close()
        for path in tmp_path.glob("api-keys.db*"):
            path.unlink()
        (tmp_path / "api-keys.db").write_bytes(b"nonsense" * 1000)
        await keys.prune()
        await until(lambda: not keys._is_behind, "the file is up to date")
        assert admitted(plane, value) is not None

    in_plane(tmp_path, check)
