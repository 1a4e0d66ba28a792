"""The configuration on disk: whole or not at all, without secrets, with its directory of keys beside it."""

import stat
from pathlib import Path

import pytest

from fakes.configuration import ENVIRON
from fakes.many_keys import write_keys
from pointsman.config.compile import Compiled, compile_document
from pointsman.config.load import load
from pointsman.config.snapshot_file import Accepted, SnapshotError, read_snapshot, write_snapshot

TEXT = b"providers: {openai: env.OPENAI_API_KEY}\ngovernance: {virtual_keys: {me: env.CLIENT_KEY}}\n"
MANY = b"providers: {openai: env.OPENAI_API_KEY}\ngovernance: {keys_file: keys.jsonl, teams: {%s}}\n" % b", ".join(
    b"team-%d: {}" % number for number in range(50)
)


def written(folder: Path, text: bytes = TEXT) -> Compiled:
    compiled = compile_document(load(text), folder, ENVIRON).compiled
    assert compiled is not None
    write_snapshot(folder / "snapshot", Accepted(text, str(folder), compiled.snapshot.digest), compiled.keys)
    return compiled


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    compiled = written(tmp_path)
    assert read_snapshot(tmp_path / "snapshot", ENVIRON).snapshot.digest == compiled.snapshot.digest
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"], "nothing half-written is left"
    assert stat.S_IMODE((tmp_path / "snapshot").stat().st_mode) == 0o600
    data = (tmp_path / "snapshot").read_bytes()
    assert not [value for value in ENVIRON.values() if value.encode() in data]


def test_keys_are_read_from_their_directory_and_not_from_the_file_again(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 300)
    compiled = written(tmp_path, MANY)
    (tmp_path / "keys.jsonl").unlink()
    again = read_snapshot(tmp_path / "snapshot", ENVIRON)
    assert again.snapshot.digest == compiled.snapshot.digest
    assert {key.name for key in again.snapshot.virtual_keys.values()} == {f"user-{n:06d}" for n in range(300)}


def test_directories_that_no_snapshot_names_are_deleted(tmp_path: Path) -> None:
    for count in (10, 20):
        write_keys(tmp_path / "keys.jsonl", count)
        written(tmp_path, MANY)
        assert len(list(tmp_path.glob("snapshot-keys-*"))) == 1
    written(tmp_path)
    assert list(tmp_path.glob("snapshot-keys-*")) == []


@pytest.mark.parametrize("at", [0, 3, 9, 20, 60])
def test_damage_is_noticed(at: int, tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "snapshot"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match=r"is not a snapshot|has format|is damaged"):
        read_snapshot(path, ENVIRON)


def test_a_damaged_directory_of_keys_is_noticed(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 30)
    written(tmp_path, MANY)
    (directory,) = tmp_path.glob("snapshot-keys-*")
    directory.write_bytes(directory.read_bytes()[:-1])
    with pytest.raises(SnapshotError, match="is damaged"):
        read_snapshot(tmp_path / "snapshot", ENVIRON)


def test_a_secret_that_is_gone_is_said(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(SnapshotError, match=r"no longer compiles: .*OPENAI_API_KEY is not set"):
        read_snapshot(tmp_path / "snapshot", {"CLIENT_KEY": ENVIRON["CLIENT_KEY"]})


def test_a_snapshot_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    written(tmp_path)
    before = (tmp_path / "snapshot").read_bytes()
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(OSError, match="No such file"):
        write_snapshot(tmp_path / "gone" / "snapshot", Accepted(TEXT, "", ""))
    assert (tmp_path / "snapshot").read_bytes() == before
