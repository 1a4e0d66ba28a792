"""Draws pairs of models that the catalog holds to be the same, for a person to judge: `python -m tools.catalog.pairs`.

Names, and for each of them two of its providers and a model of each, come in an order that only a digest decides. So a
later catalog gives the same pairs, but for what has changed.
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
    """Pairs of models at different providers, each under a name of its own."""

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
    catalog = ModelCatalog(FILE.read_bytes(), "")
    for pair in draw(catalog):
        said = []
        for provider, model in pair:
            facts = catalog.find(provider, model)
            assert facts is not None
            rates = facts.price.rates if facts.price is not None else None
            price = f"{rates.input / 1e6:g}/{rates.output / 1e6:g}" if rates is not None else "?"
            said.append(f"{provider}/{model}  [{facts.context} {price}]")
        print("\t".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
