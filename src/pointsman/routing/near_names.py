"""Finds names that are near a misspelt one, among thousands, in a millisecond."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

MOST_CHARACTERS = 128  # of a name: clients choose it
_NEAR_ENOUGH = 0.5
_PART = 0.9
_REORDERED = 0.95
_NUMBERS = re.compile(r"\d+|[a-z]+")
_MARKS = re.compile(r"[^a-z0-9]+")


class NearNames:
    """An index of names by groups of three characters. Case and separators do not count."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(dict.fromkeys(names))
        self._groups = [_groups(name) for name in self._names]
        self._with: defaultdict[str, list[int]] = defaultdict(list)
        for at, groups in enumerate(self._groups):
            for group in groups:
                self._with[group].append(at)

    def near(self, name: str, most: int = 3) -> list[str]:
        """Return the nearest names, the nearest first; none if no name is near. Of equally near names, newer versions
        come first."""
        groups = _groups(name[:MOST_CHARACTERS])
        shared = Counter(at for group in groups for at in self._with.get(group, ()))
        words = _words(name[:MOST_CHARACTERS])
        scored: list[tuple[float, tuple[int, ...], int, str]] = []
        for at, count in shared.items():
            score = self._score(at, 2 * count / (len(groups) + len(self._groups[at])), words)
            if score >= _NEAR_ENOUGH:
                found = self._names[at]
                scored.append((score, _version(found), -len(found), found))
        return [found for *_, found in sorted(scored, reverse=True)[:most]]

    def _score(self, at: int, shared: float, words: list[str]) -> float:
        """Return the likeness from 0 to 1. `shared` is the part of the groups that both names have."""
        theirs = _words(self._names[at])
        if sorted(words) == sorted(theirs):  # only the order differs
            return max(shared, _REORDERED)
        if _contains(theirs, words):  # the name is a part of theirs, such as `sonnet`
            return max(shared, _PART)
        if len(theirs) > 1 and _contains(words, theirs):  # theirs is a part, as with a cloud's prefix and version
            return max(shared, _NEAR_ENOUGH + len(theirs) / len(words) / 4)
        return shared


def _groups(name: str) -> frozenset[str]:
    squeezed = f"^{_MARKS.sub('', name.lower()).replace('0', 'o')}$"  # 4o and 40 look alike
    return frozenset(squeezed[at : at + 3] for at in range(len(squeezed) - 2))


def _contains(words: list[str], part: list[str]) -> bool:
    return any(words[at : at + len(part)] == part for at in range(len(words) - len(part) + 1))


def _words(name: str) -> list[str]:
    return _NUMBERS.findall(name.lower())


def _version(name: str) -> tuple[int, ...]:
    """Return the short numbers in a name. Longer ones are dates."""
    return tuple(int(word) for word in _words(name) if word.isdigit() and len(word) < 4)
