"""Draws pairs of names that the catalog treats as one model, for review by a person: `python -m tools.catalog.pairs`.

A digest alone decides the order of names, and for each name two of its providers and a model of each. So a later
catalog gives the same pairs, except for changed ones.
"""

import sys
from hashlib import sha256
from pathlib import Path

from pointsman.catalog.reader import ModelCatalog

FILE = Path(__file__).parents[2] / "src/pointsman/catalog/models.json"
SEED = "pairs of 2026-11-25"
COUNT = 300

Place = tuple[str, str]


def draw(catalog: ModelCatalog, count: int = COUNT, seed: str = SEED) -> list[tuple[Place, Place]]:
    """Draw pairs of models at different providers, each pair under a different name."""

    def rank(*parts: str) -> bytes:
        return sha256("\0".join((seed, *parts)).encode()).digest()

    found: list[tuple[Place, Place]] = []
    for name in sorted(catalog.canonical_names(), key=rank):
        places: dict[str, Place] = {}
        for provider, model in sorted(catalog.serving(name), key=lambda place: rank(*place)):
            places.setdefault(provider, (provider, model))
        if len(places) > 1:
            one, other = list(places.values())[:2]
            found.append((one, other))
    return found[:count]


def main() -> int:
    catalog = ModelCatalog(FILE.read_bytes())
    for pair in draw(catalog):
        columns = []
        for provider, model in pair:
            facts = catalog.find(provider, model)
            assert facts is not None
            rates = facts.price.rates if facts.price is not None else None
            price = f"{rates.input / 1e6:g}/{rates.output / 1e6:g}" if rates is not None else "?"
            columns.append(f"{provider}/{model}  [{facts.context} {price}]")
        print("\t".join(columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
