"""Memos that are freed with their owners, so that they keep no part of an old configuration alive."""

from typing import Generic, TypeVar
from weakref import finalize

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """A dict for each owner, such as a snapshot, that is freed with its owner. Each is emptied when it has `most`
    entries, since clients invent names. No value may refer to its owner."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._dicts: dict[int, dict[K, V]] = {}

    def of(self, owner: object) -> dict[K, V]:
        """Return the dict of an owner, with room for another entry."""
        found = self._dicts.get(id(owner))
        if found is None:
            found = self._dicts[id(owner)] = {}
            finalize(owner, self._dicts.pop, id(owner))
        elif len(found) >= self._most:
            found.clear()
        return found
