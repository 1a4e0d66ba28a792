"""The table of virtual keys has those of the file, of the file of further keys, and those made by API."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pointsman.config.key_directory import KeyDirectory, KeyRow
from pointsman.config.key_table import FileKeys
from pointsman.config.live_keys import LiveKeys, LiveRow, generation_of, open_for_writing, open_live
from pointsman.domain.identity import KeysUnavailableError, ProviderEntry, VirtualKey
from pointsman.domain.limits import Level, Limit, Period


def test_key_owns_the_limits_of_its_policy_and_shares_those_of_its_team() -> None:
    def limit(level: Level, owner: str) -> Limit:
        return Limit(level=level, owner=owner, metric="usd", period=Period("day"), amount=5)

    entry = ProviderEntry("openai", limits=(limit("entry", "entry:/openai"),))
    policy = VirtualKey(
        name="",
        digest=b"",
        team="a",
        customer="c",
        entries={"openai": entry},
        limits=(limit("virtual_key", "virtual_key:"),),
    )
    shared = [limit("team", "team:a"), limit("team", "team:b"), limit("customer", "customer:c")]
    keys = FileKeys({}, KeyDirectory.build([KeyRow(b"1", "key-0", 0)], [policy]), shared)
    key = keys.named("key-0")
    assert key is not None
    assert [one.owner for one in key.limits] == ["virtual_key:key-0", "team:a", "customer:c"]
    assert key.entries["openai"].limits[0].owner == "entry:key-0/openai"


def live_keys(folder: Path, *rows: LiveRow, **policies: VirtualKey) -> FileKeys:
    """Build a table of keys made by API. Policies are numbered from 1."""
    live = open_for_writing(folder)
    live.keep_compiled(generation_of("d"), dict(enumerate(policies.values(), 1)))
    live.write(rows)
    live.close()
    return FileKeys({}, None, (), open_live(folder)).at("d")


def usd(amount: int) -> Limit:
    return Limit(level="virtual_key", owner="virtual_key:", metric="usd", period=Period("day"), amount=amount)


PARENT, CHILD = (
    LiveRow(b"1" * 32, "app", 1, expires_at=50.0),
    LiveRow(b"2" * 32, "kid", 2, expires_at=90.0, parent="app"),
)
OF_PARENT = VirtualKey(
    name="", digest=b"", team="a", allow_models=("gpt-*",), limits=(usd(5),), networks=("10.0.0.0/8",)
)


def test_child_has_the_rights_of_its_parent_and_counts_in_its_limits(tmp_path: Path) -> None:
    own = VirtualKey(name="", digest=b"", limits=(usd(1),), allow_models=("gpt-4o",))
    keys = live_keys(tmp_path, PARENT, CHILD, parent=OF_PARENT, child=own)
    child = keys.get(CHILD.digest)
    assert child is not None
    assert [one.counter for one in child.limits] == ["virtual_key:kid|usd|day", "virtual_key:app|usd|day"]
    assert (child.team, child.parent, child.expires_at) == ("a", "app", 50.0)
    assert (child.allow_models, child.networks) == (("gpt-4o",), ("10.0.0.0/8",))
    limit = keys.limit("virtual_key:kid|usd|day")
    assert limit is not None
    assert limit.amount == 1


@pytest.mark.parametrize("parents", [[], [replace(PARENT, is_enabled=False)]], ids=["revoked", "disabled"])
def test_child_is_nothing_without_its_parent(parents: list[LiveRow], tmp_path: Path) -> None:
    keys = live_keys(tmp_path, *parents, CHILD, parent=OF_PARENT, child=VirtualKey(name="", digest=b""))
    assert keys.get(CHILD.digest) is None


def test_disabled_key_is_known_by_name_only(tmp_path: Path) -> None:
    keys = live_keys(tmp_path, replace(PARENT, is_enabled=False), parent=OF_PARENT)
    assert keys.get(PARENT.digest) is None
    assert keys.named("app") is not None


def test_key_is_made_anew_after_its_change(tmp_path: Path) -> None:
    keys = live_keys(tmp_path, PARENT, parent=OF_PARENT)
    before = keys.get(PARENT.digest)
    assert keys.get(PARENT.digest) is before
    writer = open_for_writing(tmp_path)
    writer.write([replace(PARENT, expires_at=99.0)], ["app"])
    assert keys.get(PARENT.digest) is before
    keys.drop([PARENT.digest])
    found = keys.get(PARENT.digest)
    assert found is not None
    assert found.expires_at == 99.0
    assert not keys.refresh()
    writer.write([], ["app"])
    assert keys.refresh()
    assert keys.get(PARENT.digest) is None


def test_iteration_leaves_out_keys_that_cannot_be_used(tmp_path: Path) -> None:
    off = LiveRow(b"3" * 32, "off", 1, is_enabled=False)
    orphan = LiveRow(b"4" * 32, "orphan", 2, parent="gone")
    keys = live_keys(tmp_path, PARENT, off, orphan, parent=OF_PARENT, child=VirtualKey(name="", digest=b""))
    assert [key.name for key in keys.values()] == ["app"]


def test_limit_is_unknown_while_the_file_is_damaged(tmp_path: Path) -> None:
    keys = live_keys(tmp_path, PARENT, parent=OF_PARENT)
    for path in tmp_path.glob("api-keys.db*"):
        path.unlink()
    (tmp_path / "api-keys.db").write_bytes(b"nonsense" * 1000)
    keys.live = LiveKeys(tmp_path / "api-keys.db")
    assert keys.limit("virtual_key:app|usd|day") is None
    with pytest.raises(KeysUnavailableError):
        keys.get(PARENT.digest)
