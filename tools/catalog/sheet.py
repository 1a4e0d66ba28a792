"""Draws pairs of models for a person to label, and scores the labels against the catalog.

    python -m tools.catalog.sheet draw SEED [COUNT]    # writes the sheet: providers and ids only
    python -m tools.catalog.sheet score FILE           # FILE is a labelled sheet

Most pairs replace each other in the catalog. Others have similar names only, so that a label is not known in advance.
`same` is `yes`, `no` or `undecided`, and `source` the page or table that says so. Undecided pairs count as wrong.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from pointsman.catalog.names import key_of
from pointsman.catalog.reader import ModelCatalog

FILE = Path(__file__).parents[2] / "src/pointsman/catalog/models.json"
COUNT = 150
_DECOYS = 5  # one pair of similar names for so many pairs

Place = tuple[str, str]


class Pair(Struct):
    one: Place
    other: Place
    same: str = ""
    source: str = ""


class Score(Struct):
    """`pairs` are those that replace each other by the catalog, `wrong` those of them that are not labelled the same.
    `apart` are all others, `missed` those of them that are labelled the same."""

    pairs: int = 0
    wrong: list[Pair] = []
    apart: int = 0
    missed: list[Pair] = []

    @property
    def precision(self) -> float:
        return 1 - len(self.wrong) / self.pairs if self.pairs else 0.0


def draw(catalog: ModelCatalog, seed: str, count: int = COUNT) -> list[Pair]:
    """Draw pairs of models at different providers by a seed."""
    dice = Random(seed)
    groups = {
        name: [place for place in catalog.serving(name) if _stands_in(catalog, place)] for name in _names(catalog)
    }
    every = [pair for places in groups.values() for pair in combinations(places, 2) if pair[0][0] != pair[1][0]]
    found = dice.sample(every, min(count, len(every)))
    names = sorted(groups)
    while len(found) < count + count // _DECOYS:
        name = dice.choice(names)
        near = max(names, key=lambda other: SequenceMatcher(None, name, other).ratio() if other != name else 0.0)
        if groups[name] and groups[near]:
            found.append((dice.choice(groups[name]), dice.choice(groups[near])))
    dice.shuffle(found)
    return [Pair(*(pair if dice.random() < 0.5 else pair[::-1])) for pair in found]


def score(catalog: ModelCatalog, pairs: Iterable[Pair]) -> Score:
    found = Score()
    for pair in pairs:
        if replaces(catalog, pair.one, pair.other):
            found.pairs += 1
            if pair.same != "yes":
                found.wrong.append(pair)
        else:
            found.apart += 1
            if pair.same == "yes":
                found.missed.append(pair)
    return found


def replaces(catalog: ModelCatalog, one: Place, other: Place) -> bool:
    """Return whether a model replaces the other one after a failure."""
    facts, others = catalog.find(*one), catalog.find(*other)
    return facts is not None and others is not None and facts.name == others.name


def read(file: Path) -> list[Pair]:
    return [msgspec.json.decode(line, type=Pair) for line in file.read_bytes().splitlines() if line.strip()]


def _names(catalog: ModelCatalog) -> Sequence[str]:
    by_key: defaultdict[str, str] = defaultdict(str)
    for name in catalog.canonical_names():
        by_key[key_of("", name)] = name
    return list(by_key.values())


def _stands_in(catalog: ModelCatalog, place: Place) -> bool:
    facts = catalog.find(*place)
    return facts is not None and not facts.is_doubtful


def main(arguments: Sequence[str]) -> int:
    catalog = ModelCatalog(FILE.read_bytes())
    match arguments:
        case ["draw", seed, *rest]:
            for pair in draw(catalog, seed, int(rest[0]) if rest else COUNT):
                print(msgspec.json.encode(pair).decode())
        case ["score", file]:
            found = score(catalog, read(Path(file)))
            print(f"{found.pairs} pairs replace each other, {len(found.wrong)} of them wrongly: {found.precision:.4f}")
            print(f"{found.apart} pairs stay apart, {len(found.missed)} of them are the same model")
            for title, pairs in (("wrong", found.wrong), ("missed", found.missed)):
                for pair in pairs:
                    print(f"{title}: {'/'.join(pair.one)}  {'/'.join(pair.other)}  {pair.same} {pair.source}")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
