"""A block of bytes that is searched as it lies."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config.key_directory import DirectoryError, Entry, KeyDirectory, pack

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


def entries(count: int) -> list[Entry]:
    return [Entry(f"key-{n}", sha256(b"%d" % n).digest(), n % 3) for n in range(count)]


@given(st.dictionaries(NAMES, st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 9)), max_size=80))
def test_what_was_packed_is_found_and_nothing_else(known: dict[str, tuple[bytes, int]]) -> None:
    by_digest = {digest: Entry(name, digest, policy) for name, (digest, policy) in known.items()}
    policies = [b'{"n":%d}' % number for number in range(10)]
    directory = KeyDirectory(pack(by_digest.values(), policies))
    assert len(directory) == len(by_digest)
    assert {entry.digest: entry for entry in directory} == by_digest
    for entry in by_digest.values():
        assert directory.find(entry.digest) == entry
        assert directory.named(entry.name) == entry
        assert directory.find(sha256(entry.digest).digest()) is None
    assert directory.named("no such name, since this one is longer") is None
    assert directory.policies == policies


def test_it_is_named_by_what_it_holds() -> None:
    one, same = (KeyDirectory(pack(entries(50), [b"a", b"b", b"c"])) for _ in range(2))
    assert one.digest == same.digest
    assert one.digest != KeyDirectory(pack(entries(51), [b"a", b"b", b"c"])).digest
    assert one.digest != KeyDirectory(pack(entries(50), [b"a", b"b", b"d"])).digest


def test_a_file_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(pack(entries(1000), [b"{}"] * 3))
    directory = KeyDirectory.open(path)
    path.unlink()  # who has it open keeps it
    assert all(directory.find(entry.digest) == entry for entry in entries(1000))


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    whole = pack(entries(40), [b"{}"] * 3)
    path = tmp_path / "keys"
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with pytest.raises(DirectoryError, match=f"^{path} (is damaged|is not a directory|has format)"):
            KeyDirectory.open(path)
    for length in (0, 1, 50, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DirectoryError):
            KeyDirectory.open(path)
