"""A snapshot file is written whole, and holds the compiled configuration without secrets."""

import base64
import os
from hashlib import sha256
from pathlib import Path

import pytest

from fakes.configuration import ENVIRON, OPEN, accept, compiled
from fakes.many_keys import entry, write_keys
from pointsman.config import snapshot_file
from pointsman.config.snapshot_file import FORMAT, OutdatedError, SnapshotError, read_snapshot
from pointsman.domain.origin import secret_of
from pointsman.domain.snapshots import counters_of
from pointsman.providers import PROVIDERS

DOCUMENT = """
providers: {openai: env.OPENAI_API_KEY, groq: "file:groq.key"}
governance: {virtual_keys: {me: {value: env.CLIENT_KEY, budgets: [{limit_usd: 5, per: day, zone: Europe/Berlin}]}}}
models: {chat: [openai/gpt-4o]}
"""
SECRET = "gsk-in-a-file-of-its-own"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "groq.key").write_text(SECRET)
    accept(tmp_path / "snapshot", DOCUMENT)
    return tmp_path / "snapshot"


def test_snapshot_is_read_with_its_secrets(written: Path) -> None:
    found = read_snapshot(written, ENVIRON)
    accepted = compiled(DOCUMENT, folder=written.parent)
    assert found.snapshot.digest == accepted.snapshot.digest
    assert found.settings == accepted.settings
    assert found.secret_files == accepted.secret_files
    assert secret_of(found.snapshot.endpoints["groq"].keys[0].credential).reveal() == SECRET
    key = found.snapshot.virtual_keys[sha256(ENVIRON["CLIENT_KEY"].encode()).digest()]
    assert (key.limits[0].amount, key.limits[0].counter) == (5_000_000_000, "virtual_key:me|usd|day")
    assert str(key.limits[0].period.zone) == "Europe/Berlin"
    assert found.snapshot.pricing.catalog is accepted.snapshot.pricing.catalog


def test_shared_objects_stay_shared(written: Path) -> None:
    """Endpoints are compared by identity: candidates and both tables of endpoints share the same object."""
    snapshot = read_snapshot(written, ENVIRON).snapshot
    (target,) = snapshot.models["chat"].targets
    assert snapshot.names is not None
    assert target.endpoint is snapshot.endpoints["openai"] is snapshot.names.endpoints["openai"]
    assert target.endpoint.operations == PROVIDERS["openai"].operations


def test_quirks_of_every_provider_survive(tmp_path: Path) -> None:
    keys = "{base_url: 'http://127.0.0.1:9', keys: {only: env.OPENAI_API_KEY}, output_bound: max_tokens}"
    text = OPEN + "providers:\n" + "".join(f"  {name}: {keys}\n" for name in PROVIDERS)
    accepted = accept(tmp_path / "snapshot", text).snapshot.endpoints
    found = read_snapshot(tmp_path / "snapshot", ENVIRON).snapshot.endpoints
    assert found.keys() == accepted.keys() == PROVIDERS.keys()
    for name, endpoint in found.items():
        for field in ("type", "origin", "operations", "quirks", "default_output", "tools", "tool_models", "network"):
            assert getattr(endpoint, field) == getattr(accepted[name], field)
        assert endpoint.keys[0].credential == accepted[name].keys[0].credential


def test_changed_secrets_make_a_snapshot_outdated(written: Path) -> None:
    with pytest.raises(OutdatedError, match="other secrets"):
        read_snapshot(written, {**ENVIRON, "OPENAI_API_KEY": "sk-other"})
    (written.parent / "groq.key").unlink()
    with pytest.raises(OutdatedError, match=r"file:groq\.key cannot be read"):
        read_snapshot(written, ENVIRON)


def test_snapshot_contains_no_secret(tmp_path: Path) -> None:
    (tmp_path / "groq.key").write_text(SECRET)
    environ = {**ENVIRON, "PROXY": "http://user:proxy-password@proxy.test:1", "STORE": "postgresql://u:pg-password@h/d"}
    text = DOCUMENT + "egress: {proxy: env.PROXY}\nstore: {url: env.STORE}\n"
    accept(tmp_path / "snapshot", text, environ)
    found = read_snapshot(tmp_path / "snapshot", environ)
    proxy = found.snapshot.endpoints["openai"].network.proxy_authorization
    assert proxy is not None
    assert proxy.reveal() == f"Basic {base64.b64encode(b'user:proxy-password').decode()}"
    assert found.settings.store_url is not None
    assert found.settings.store_url.reveal() == environ["STORE"]
    content = (tmp_path / "snapshot").read_bytes()
    kept = (environ[name] for name in ("OPENAI_API_KEY", "CLIENT_KEY", "STORE"))
    for secret in (SECRET, "proxy-password", "user:proxy-password", "pg-password", *kept):
        for form in (secret.encode(), base64.b64encode(secret.encode()), secret.encode().hex().encode()):
            assert form not in content
    assert (tmp_path / "snapshot").stat().st_mode & 0o777 == 0o600


def test_address_without_a_password_is_kept(tmp_path: Path) -> None:
    (tmp_path / "groq.key").write_text(SECRET)
    accept(tmp_path / "snapshot", DOCUMENT + "store: {url: 'postgresql://h/d'}\n")
    found = read_snapshot(tmp_path / "snapshot", ENVIRON).settings.store_url
    assert found is not None
    assert found.reveal() == "postgresql://h/d"


def test_newer_snapshot_replaces_the_old_one_and_leaves_no_other_file(written: Path) -> None:
    accept(written, DOCUMENT.replace("5,", "7,"))
    (key,) = read_snapshot(written, ENVIRON).snapshot.virtual_keys.values()
    assert key.limits[0].amount == 7_000_000_000
    assert sorted(path.name for path in written.parent.iterdir()) == ["groq.key", "snapshot"]


def test_failed_write_keeps_the_old_snapshot(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        accept(written, DOCUMENT)
    assert written.read_bytes() == before
    assert sorted(path.name for path in written.parent.iterdir()) == ["groq.key", "snapshot"]


def test_truncated_snapshot_is_rejected(written: Path) -> None:
    whole = written.read_bytes()
    for length in range(0, len(whole), 7):
        written.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match=r"is damaged|is not a snapshot|has format"):
            read_snapshot(written, ENVIRON)


@pytest.mark.parametrize("at", [0, 8, 12, 43, 44, -1])
def test_changed_byte_is_rejected(written: Path, at: int) -> None:
    content = bytearray(written.read_bytes())
    content[at] ^= 1
    written.write_bytes(content)
    with pytest.raises(SnapshotError):
        read_snapshot(written, ENVIRON)


def test_other_format_is_rejected_with_its_number(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "FORMAT", FORMAT + 1)
    accept(written, DOCUMENT)
    monkeypatch.undo()
    with pytest.raises(SnapshotError, match=f"has format {FORMAT + 1}; this version reads formats 1 to {FORMAT}"):
        read_snapshot(written, ENVIRON)


def test_snapshot_of_another_version_is_outdated(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "__version__", "0.0.9")
    with pytest.raises(OutdatedError, match="was written by another version"):
        read_snapshot(written, ENVIRON)


def test_missing_snapshot_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_snapshot(tmp_path / "none", ENVIRON)


def test_other_content_with_a_valid_checksum_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(b"PMSNAP\r\n" + FORMAT.to_bytes(4, "little") + sha256(b"\xc1").digest() + b"\xc1")
    with pytest.raises(SnapshotError, match="is damaged"):
        read_snapshot(path, ENVIRON)


TEAMS = ", ".join(f"team-{number}: {{budgets: [{{limit_usd: 9, per: year}}]}}" for number in range(50))
MANY = f"providers: {{openai: env.OPENAI_API_KEY}}\ngovernance: {{keys_file: keys.jsonl, teams: {{{TEAMS}}}}}\n"


def test_keys_are_read_from_their_directory_and_not_from_the_keys_file(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 300)
    compiled = accept(tmp_path / "snapshot", MANY)
    (tmp_path / "keys.jsonl").unlink()
    again = read_snapshot(tmp_path / "snapshot", ENVIRON)
    assert again.snapshot.digest == compiled.snapshot.digest
    assert {key.name for key in again.snapshot.virtual_keys.values()} == {f"user-{n:06d}" for n in range(300)}
    counters = counters_of(again.snapshot)
    assert counters["virtual_key:user-000007|usd|day"].amount == 12_000_000_000
    assert counters["team:team-7|usd|year"].amount == 9_000_000_000
    digest = bytes.fromhex(entry(7)["value"].removeprefix("sha256:"))
    owners = {limit.owner for limit in again.snapshot.virtual_keys[digest].limits}
    assert owners == {"virtual_key:user-000007", "team:team-7"}


def test_key_directories_of_older_snapshots_are_deleted(tmp_path: Path) -> None:
    for count in (10, 20):
        write_keys(tmp_path / "keys.jsonl", count)
        accept(tmp_path / "snapshot", MANY)
        assert len(list(tmp_path.glob("snapshot-keys-*"))) == 1
    (tmp_path / "groq.key").write_text(SECRET)
    accept(tmp_path / "snapshot", DOCUMENT)
    assert list(tmp_path.glob("snapshot-keys-*")) == []


def test_damaged_directory_of_keys_is_rejected(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 30)
    accept(tmp_path / "snapshot", MANY)
    (directory,) = tmp_path.glob("snapshot-keys-*")
    directory.write_bytes(directory.read_bytes()[:-1])
    with pytest.raises(SnapshotError, match="is damaged"):
        read_snapshot(tmp_path / "snapshot", ENVIRON)
