from collections.abc import Iterator

from pointsman.domain.identity import KeyTable, VirtualKey, key_named
from pointsman.domain.limits import Limit

ME = VirtualKey(name="me", digest=b"1")


class Table(KeyTable):
    """A table with one key, which is made only when it is looked up."""

    def named(self, name: str) -> VirtualKey | None:
        return ME if name == "me" else None

    def limit(self, counter: str) -> Limit | None:
        return None

    def __getitem__(self, digest: bytes) -> VirtualKey:
        raise AssertionError("not one by one")

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("not one by one")

    def __len__(self) -> int:
        return 1

    def is_revoked(self, digest: bytes) -> bool:
        return False

    def drop(self, digests: object) -> None:
        raise AssertionError("nothing changes")

    def refresh(self) -> bool:
        return False


def test_key_is_found_by_its_name() -> None:
    assert key_named({b"1": ME}, "me") is ME
    assert key_named({b"1": ME}, "you") is None


def test_key_table_is_queried_and_not_iterated() -> None:
    assert key_named(Table(), "me") is ME
    assert key_named(Table(), "you") is None
