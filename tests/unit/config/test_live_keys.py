"""The file of keys made by API: changed in place, read by others, and made anew after damage."""

from hashlib import sha256
from pathlib import Path

import pytest

from pointsman.config.live_keys import Extent, LiveKeys, LiveRow, open_for_writing, open_live
from pointsman.domain.identity import KeysUnavailableError, VirtualKey


def digest(name: str) -> bytes:
    return sha256(name.encode()).digest()


def row(name: str, **fields: object) -> LiveRow:
    return LiveRow(digest(name), name, 1, **fields)  # type: ignore[arg-type]


def test_reader_sees_a_change_at_once(tmp_path: Path) -> None:
    writer, reader = open_for_writing(tmp_path), open_live(tmp_path)
    assert reader is not None
    assert reader.find(digest("a")) is None
    assert not reader
    writer.write([row("a", changed=7), row("b", expires_at=9.5, parent="a", changed=8)])
    assert reader.find(digest("a")) == row("a", changed=7)
    assert reader.named("b") == row("b", expires_at=9.5, parent="a", changed=8)
    assert (len(reader), bool(reader), reader.names()) == (2, True, frozenset({"a", "b"}))
    assert reader.extent() == Extent.of([7, 8])
    writer.write([], ["a"])
    assert reader.find(digest("a")) is None
    assert set(reader.digests()) == {digest("b")}


def test_search_by_name_finds_the_current_value(tmp_path: Path) -> None:
    live = open_for_writing(tmp_path)
    older = LiveRow(digest("old"), "a", 1, is_current=False, expires_at=5.0)
    live.write([row("a"), older], ["a"])
    assert live.named("a") == row("a")
    assert live.find(digest("old")) == older
    live.write([LiveRow(digest("new"), "a", 1)], ["a"])
    assert live.find(digest("old")) is live.find(digest("a")) is None


def test_change_by_another_process_is_noticed_once(tmp_path: Path) -> None:
    writer, reader = open_for_writing(tmp_path), open_live(tmp_path)
    assert reader is not None
    assert reader.named("a") is None
    assert not reader.has_changed
    writer.write([row("a")])
    assert reader.has_changed
    assert not reader.has_changed


def test_replaced_file_is_opened_anew(tmp_path: Path) -> None:
    first, reader = open_for_writing(tmp_path), open_live(tmp_path)
    assert reader is not None
    first.write([row("a")])
    assert reader.named("a") is not None
    first.close()
    for path in tmp_path.iterdir():
        path.unlink()
    open_for_writing(tmp_path).write([row("b")])
    assert reader.has_changed
    assert (reader.named("a"), reader.named("b")) == (None, row("b"))


def test_policy_is_that_of_the_configuration_else_of_another(tmp_path: Path) -> None:
    live = open_for_writing(tmp_path)
    number = live.number_of('{"team":"a"}')
    assert live.number_of('{"team":"a"}') == number != live.number_of("{}")
    with pytest.raises(KeysUnavailableError, match="not compiled yet"):
        live.policy(number, "1")
    live.keep_compiled("1", {number: VirtualKey(name="", digest=b"", team="one")})
    live.keep_compiled("2", {number: VirtualKey(name="", digest=b"", team="two")})
    assert [live.policy(number, one).team for one in ("1", "2")] == ["one", "two"]
    assert live.policy(number, "3").team in ("one", "two")


def test_policies_without_keys_and_of_old_configurations_are_dropped(tmp_path: Path) -> None:
    live = open_for_writing(tmp_path)
    used, unused = live.number_of("{}"), live.number_of('{"team":"a"}')
    live.write([LiveRow(digest("a"), "a", used)])
    for generation in ("1", "2"):
        live.keep_compiled(generation, {number: VirtualKey(name="", digest=b"") for number in (used, unused)})
    live.forget_compiled(["2"])
    assert live.settings() == {used: "{}"}
    assert live.settings(without="1") == {used: "{}"}
    assert live.settings(without="2") == {}
    assert live.number_of('{"team":"a"}') not in (used, unused)  # a worker may remember the number


def test_damaged_file_is_an_error_for_readers_and_made_anew_for_control(tmp_path: Path) -> None:
    writer = open_for_writing(tmp_path)
    writer.write([row("a")])
    writer.close()
    path = tmp_path / "api-keys.db"
    path.write_bytes(b"nonsense" * 1000)
    reader = LiveKeys(path)
    with pytest.raises(KeysUnavailableError):
        reader.find(digest("a"))
    assert len(open_for_writing(tmp_path)) == 0
    assert reader.find(digest("a")) is None


def test_missing_file_is_no_error(tmp_path: Path) -> None:
    assert open_live(tmp_path) is None


def test_all_keys_are_replaced_in_one_step(tmp_path: Path) -> None:
    live = open_for_writing(tmp_path)
    live.write([row("a"), row("b")])
    live.write_all([row("c")])
    assert live.names() == {"c"}
    with pytest.raises(KeysUnavailableError):
        live.write_all([row("d"), row("d")])
    assert live.names() == {"c"}


def test_removed_key_is_known_as_revoked_until_it_comes_back(tmp_path: Path) -> None:
    live = open_for_writing(tmp_path)
    live.write([row("a"), row("b"), row("c", is_enabled=False)])
    assert [live.is_revoked(digest(name)) for name in "abcd"] == [False, False, True, False]
    live.write([], ["a"])
    live.write([LiveRow(digest("new"), "b", 1)], ["b"])
    assert [live.is_revoked(digest(name)) for name in "ab"] == [True, True]
    live.write_all([row("a")])
    assert [live.is_revoked(digest(name)) for name in ("a", "b", "new")] == [False, True, True]
