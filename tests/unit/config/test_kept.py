"""A snapshot is compiled again from its document if it has another version, other secrets or another catalog."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from fakes.configuration import ENVIRON, OPEN, accept, compiled
from fakes.many_keys import write_keys
from pointsman.config import snapshot_file
from pointsman.config.kept import read_or_compile
from pointsman.config.snapshot_file import SnapshotError, read_snapshot
from pointsman.domain.origin import secret_of

TEXT = OPEN + "providers: {openai: env.OPENAI_API_KEY}\n"


def write_first_format(path: Path, text: str, **more: str) -> None:
    """Write the first format: the document, and the name of a file of keys that is no longer read."""
    body = msgspec.msgpack.encode({"content": text.encode(), "folder": str(path.parent), "digest": "d", **more})
    path.write_bytes(b"PMSNAP\r\n" + (1).to_bytes(4, "little") + sha256(body).digest() + body)


def test_snapshot_of_the_first_format_is_compiled(tmp_path: Path) -> None:
    write_first_format(tmp_path / "snapshot", TEXT)
    found = read_or_compile(tmp_path / "snapshot", ENVIRON)
    assert found.snapshot.digest == compiled(TEXT, folder=tmp_path).snapshot.digest


def test_keys_of_the_first_format_are_read_from_the_keys_file(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 2)
    teams = "{team-0: {}, team-1: {}}"
    text = f"providers: {{openai: env.OPENAI_API_KEY}}\ngovernance: {{keys_file: keys.jsonl, teams: {teams}}}\n"
    write_first_format(tmp_path / "snapshot", text, keys="snapshot-keys-0123")
    assert len(read_or_compile(tmp_path / "snapshot", ENVIRON).snapshot.virtual_keys) == 2


def test_snapshot_of_another_version_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "__version__", "0.0.9")
    accept(tmp_path / "snapshot", TEXT)
    monkeypatch.undo()
    found = read_or_compile(tmp_path / "snapshot", ENVIRON)
    assert found.snapshot.digest == compiled(TEXT, folder=tmp_path).snapshot.digest


def test_changed_secrets_are_in_force_at_once(tmp_path: Path) -> None:
    accepted = accept(tmp_path / "snapshot", TEXT)
    found = read_or_compile(tmp_path / "snapshot", {**ENVIRON, "OPENAI_API_KEY": "sk-other"}).snapshot
    assert secret_of(found.endpoints["openai"].keys[0].credential).reveal() == "sk-other"
    assert found.digest != accepted.snapshot.digest


def test_snapshot_error_names_the_missing_secret(tmp_path: Path) -> None:
    accept(tmp_path / "snapshot", TEXT)
    with pytest.raises(SnapshotError, match=r"no longer compiles: .*OPENAI_API_KEY is not set"):
        read_or_compile(tmp_path / "snapshot", {})


def test_earlier_version_rejects_a_newer_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(tmp_path / "snapshot", TEXT)
    monkeypatch.setattr(snapshot_file, "FORMAT", 1)
    with pytest.raises(SnapshotError, match="has format 2; this version reads formats 1 to 1"):
        read_snapshot(tmp_path / "snapshot", ENVIRON)
