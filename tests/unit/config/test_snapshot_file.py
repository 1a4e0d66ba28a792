"""The configuration on disk: whole or not there, without secrets, and compiled again by whoever reads it."""

import base64
import os
from hashlib import sha256
from pathlib import Path

import pytest

from fakes.configuration import ENVIRON, compiled
from fakes.many_keys import write_keys
from pointsman.config import snapshot_file
from pointsman.config.compile import Compiled, compile_document
from pointsman.config.load import load
from pointsman.config.snapshot_file import FORMAT, Accepted, SnapshotError, read_snapshot, write_snapshot

DOCUMENT = b"""
providers: {openai: env.OPENAI_API_KEY, groq: "file:groq.key"}
governance: {virtual_keys: {me: {value: env.CLIENT_KEY, budgets: [{limit_usd: 5, per: day}]}}}
"""
SECRET = "gsk-in-a-file-of-its-own"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "groq.key").write_text(SECRET)
    path = tmp_path / "snapshot"
    write_snapshot(path, Accepted(DOCUMENT, str(tmp_path), "digest"))
    return path


def test_it_is_compiled_again_with_the_secrets_there_are(written: Path) -> None:
    found = read_snapshot(written, ENVIRON).snapshot
    told = compiled(DOCUMENT.decode(), folder=written.parent).snapshot
    assert found.digest == told.digest
    assert found.endpoints["groq"].keys[0].secret.reveal() == SECRET
    (key,) = found.virtual_keys.values()
    assert key.limits[0].amount == 5_000_000_000
    changed = read_snapshot(written, {**ENVIRON, "OPENAI_API_KEY": "sk-other"}).snapshot
    assert changed.digest != told.digest


def test_no_secret_is_in_it(written: Path) -> None:
    content = written.read_bytes()
    for secret in (SECRET, ENVIRON["OPENAI_API_KEY"], ENVIRON["CLIENT_KEY"]):
        for form in (secret.encode(), base64.b64encode(secret.encode()), secret.encode().hex().encode()):
            assert form not in content
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_newer_one_takes_the_place_of_the_old_and_leaves_nothing_beside(written: Path) -> None:
    write_snapshot(written, Accepted(DOCUMENT.replace(b"5,", b"7,"), str(written.parent), "digest"))
    (key,) = read_snapshot(written, ENVIRON).snapshot.virtual_keys.values()
    assert key.limits[0].amount == 7_000_000_000
    assert sorted(path.name for path in written.parent.iterdir()) == ["groq.key", "snapshot"]


def test_one_that_cannot_be_written_leaves_the_old_in_place(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_snapshot(written, Accepted(b"other", "", ""))
    assert written.read_bytes() == before
    assert sorted(path.name for path in written.parent.iterdir()) == ["groq.key", "snapshot"]


def test_a_file_cut_short_anywhere_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for length in range(len(whole)):
        written.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match=r"is damaged|is not a snapshot|has format"):
            read_snapshot(written, ENVIRON)


@pytest.mark.parametrize("at", [0, 8, 12, 43, 44, -1])
def test_a_changed_byte_is_seen(written: Path, at: int) -> None:
    content = bytearray(written.read_bytes())
    content[at] ^= 1
    written.write_bytes(content)
    with pytest.raises(SnapshotError):
        read_snapshot(written, ENVIRON)


def test_another_format_is_refused_by_name(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "FORMAT", FORMAT + 1)
    write_snapshot(written, Accepted(DOCUMENT, str(written.parent), "digest"))
    monkeypatch.undo()
    with pytest.raises(SnapshotError, match=f"has format {FORMAT + 1}, this version reads {FORMAT}"):
        read_snapshot(written, ENVIRON)


def test_one_whose_secrets_are_gone_says_which(written: Path) -> None:
    with pytest.raises(SnapshotError, match=r"no longer compiles: .*OPENAI_API_KEY is not set"):
        read_snapshot(written, {"CLIENT_KEY": ENVIRON["CLIENT_KEY"]})


def test_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_snapshot(tmp_path / "none", ENVIRON)


def test_a_valid_checksum_over_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(b"PMSNAP\r\n" + FORMAT.to_bytes(4, "little") + sha256(b"\xc1").digest() + b"\xc1")
    with pytest.raises(SnapshotError, match="is damaged"):
        read_snapshot(path, ENVIRON)


MANY = b"providers: {openai: env.OPENAI_API_KEY}\ngovernance: {keys_file: keys.jsonl, teams: {%s}}\n" % b", ".join(
    b"team-%d: {}" % number for number in range(50)
)


def with_keys(folder: Path) -> Compiled:
    compiled = compile_document(load(MANY), folder, ENVIRON).compiled
    assert compiled is not None
    write_snapshot(folder / "snapshot", Accepted(MANY, str(folder), compiled.snapshot.digest), compiled.keys)
    return compiled


def test_keys_are_read_from_their_directory_and_not_from_the_file_again(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 300)
    compiled = with_keys(tmp_path)
    (tmp_path / "keys.jsonl").unlink()
    again = read_snapshot(tmp_path / "snapshot", ENVIRON)
    assert again.snapshot.digest == compiled.snapshot.digest
    assert {key.name for key in again.snapshot.virtual_keys.values()} == {f"user-{n:06d}" for n in range(300)}


def test_directories_that_no_snapshot_names_are_deleted(tmp_path: Path) -> None:
    for count in (10, 20):
        write_keys(tmp_path / "keys.jsonl", count)
        with_keys(tmp_path)
        assert len(list(tmp_path.glob("snapshot-keys-*"))) == 1
    write_snapshot(tmp_path / "snapshot", Accepted(DOCUMENT, str(tmp_path), "digest"))
    assert list(tmp_path.glob("snapshot-keys-*")) == []


def test_a_damaged_directory_of_keys_is_noticed(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 30)
    with_keys(tmp_path)
    (directory,) = tmp_path.glob("snapshot-keys-*")
    directory.write_bytes(directory.read_bytes()[:-1])
    with pytest.raises(SnapshotError, match="is damaged"):
        read_snapshot(tmp_path / "snapshot", ENVIRON)
