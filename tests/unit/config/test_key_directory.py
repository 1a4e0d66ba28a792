"""A directory finds keys by digest and by name, in memory and in a file."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config.key_directory import DirectoryError, KeyDirectory, KeyRow
from pointsman.domain.identity import VirtualKey

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
POLICIES = [VirtualKey(name="", digest=b"", team=f"team-{number}") for number in range(10)]


def rows(count: int) -> list[KeyRow]:
    return [KeyRow(sha256(b"%d" % n).digest(), f"key-{n}", n % 3) for n in range(count)]


@given(st.dictionaries(NAMES, st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 9)), max_size=80))
def test_only_existing_keys_are_found(known: dict[str, tuple[bytes, int]]) -> None:
    by_digest = {digest: KeyRow(digest, name, policy) for name, (digest, policy) in known.items()}
    directory = KeyDirectory.build(by_digest.values(), POLICIES)
    assert len(directory) == len(by_digest)
    assert set(directory) == set(by_digest)
    for row in by_digest.values():
        assert directory.find(row.digest) == row
        assert directory.named(row.name) == row
        assert directory.find(sha256(row.digest).digest()) is None
        assert directory.policy(row.policy).team == f"team-{row.policy}"
    assert directory.named("no such name, since this one is longer") is None


def test_digest_of_a_directory_depends_on_its_content() -> None:
    one, same = (KeyDirectory.build(rows(50), POLICIES) for _ in range(2))
    assert one.digest == same.digest
    assert one.digest != KeyDirectory.build(rows(51), POLICIES).digest
    assert one.digest != KeyDirectory.build(rows(50), POLICIES[:9]).digest


def test_directory_stays_readable_after_its_file_is_deleted(tmp_path: Path) -> None:
    path, made = tmp_path / "keys #1?", KeyDirectory.build(rows(1000), POLICIES)
    path.write_bytes(made.data)
    directory = KeyDirectory.open(path, made.digest)
    path.unlink()
    assert all(directory.find(row.digest) == row for row in rows(1000))


def test_damaged_directory_is_not_opened(tmp_path: Path) -> None:
    made = KeyDirectory.build(rows(40), POLICIES)
    path, whole = tmp_path / "keys", made.data
    for at in range(0, len(whole), 997):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with pytest.raises(DirectoryError, match=f"^{path} is damaged"):
            KeyDirectory.open(path, made.digest)
    for length in (0, 1, 50, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DirectoryError):
            KeyDirectory.open(path, made.digest)
