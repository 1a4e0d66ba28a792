"""Finds names that are near a misspelt one, among thousands, in a millisecond."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

MOST_CHARACTERS = 128  # of a name: clients choose it
MOST_KEPT = 256  # answers: many clients repeat a wrong name
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
        self._words = [_words(name) for name in self._names]
        self._kept: dict[tuple[str, int], list[str]] = {}
        self._with: defaultdict[str, list[int]] = defaultdict(list)
        for at, groups in enumerate(self._groups):
            for group in groups:
                self._with[group].append(at)

    def near(self, name: str, most: int = 3) -> list[str]:
        """Return the nearest names, the nearest first; none if no name is near. Of equally near names, newer versions
        come first."""
        asked = (name[:MOST_CHARACTERS], most)
        if asked not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[asked] = self._nearest(*asked)
        return self._kept[asked]

    def _nearest(self, name: str, most: int) -> list[str]:
        groups, words = _groups(name), _words(name)
        shared = Counter(at for group in groups for at in self._with.get(group, ()))
        scored: list[tuple[float, tuple[int, ...], int, str]] = []
        for at, count in shared.items():
            score = self._score(at, 2 * count / (len(groups) + len(self._groups[at])), words)
            if score >= _NEAR_ENOUGH:
                found = self._names[at]
                scored.append((score, _version(found), -len(found), found))
        return [found for *_, found in sorted(scored, reverse=True)[:most]]

    def _score(self, at: int, shared: float, words: str) -> float:
        """Return the likeness from 0 to 1. `shared` is the part of the groups that both names have."""
        theirs = self._words[at]
        if len(words) == len(theirs) and sorted(words.split()) == sorted(theirs.split()):  # only the order differs
            return max(shared, _REORDERED)
        if words in theirs:  # the name is a part of theirs, such as `sonnet`
            return max(shared, _PART)
        if theirs in words and (count := len(theirs.split())) > 1:  # as with a cloud's prefix and version
            return max(shared, _NEAR_ENOUGH + count / len(words.split()) / 4)
        return shared


def _groups(name: str) -> frozenset[str]:
    squeezed = f"^{_MARKS.sub('', name.lower()).replace('0', 'o')}$"  # 4o and 40 look alike
    return frozenset(squeezed[at : at + 3] for at in range(len(squeezed) - 2))


def _words(name: str) -> str:
    """Return the words and the numbers of a name, each between blanks, so that a part of a name is a part of this."""
    return f" {' '.join(_NUMBERS.findall(name.lower()))} "


def _version(name: str) -> tuple[int, ...]:
    """Return the short numbers in a name. Longer ones are dates."""
    return tuple(int(word) for word in _words(name).split() if word.isdigit() and len(word) < 4)
