"""Measures the catalog: suspicious groups, wrong siblings, recall and prices of publishers.

    python -m tools.catalog.census FOLDER    # FOLDER has the packages of `make catalog`

The figures are written to docs/measurements/catalog.json.
The labels and their sources are in tests/unit/catalog. `python -m tools.catalog.sheet` draws pairs for new ones.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pointsman.catalog.reader import ModelCatalog
from tools.catalog import sheet
from tools.catalog.__main__ import DATE, ROOT, read
from tools.catalog.merge import Merged, merge
from tools.catalog.packages import PACKAGES

LABELS = ROOT / "tests/unit/catalog"
FILE = ROOT / "docs/measurements/catalog.json"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    tables, _ = read(Path(sys.argv[1]))
    catalog = ModelCatalog(sheet.FILE.read_bytes())
    versions = {name: package.version for name, package in PACKAGES.items()}
    figures = {"date": str(DATE), "packages": versions, **groups(merge(tables)), **labels(catalog)}
    FILE.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return 0


def groups(merged: Merged) -> dict[str, object]:
    """Return the figures of the tables: contradictions, outliers, and models without a price."""
    vouched = Counter("one table" if facts.is_doubtful else "several tables" for facts in merged.entries.values())
    kinds = Counter(f"{flag.kind}, {'explained' if flag.reason else 'apart'}" for flag in merged.flags)
    unpriced = Counter(
        "an outlier" if "times the median" in facts.unpriced else facts.unpriced
        for facts in merged.entries.values()
        if facts.price is None
    )
    return {
        "models": len(merged.entries),
        "listed by": dict(sorted(vouched.items())),
        "ids of another form": len(merged.rejected),
        "contradictions": dict(sorted(kinds.items())),
        "prices left out": len(merged.outliers),
        "models without a price": dict(sorted(unpriced.items())),
    }


def labels(catalog: ModelCatalog) -> dict[str, object]:
    """Return the figures of the labelled names, pairs and prices."""
    found: dict[str, object] = {"census": _census(catalog), "recall": _recall(catalog), "prices": _prices(catalog)}
    for file in sorted(LABELS.glob("*.jsonl")):
        score = sheet.score(catalog, sheet.read(file))
        found[f"sample {file.stem}"] = {
            "pairs": score.pairs,
            "wrong": len(score.wrong),
            "precision": round(score.precision, 4),
            "pairs that stay apart": score.apart,
            "of them the same model": len(score.missed),
        }
    return found


def rows(name: str) -> Iterator[list[str]]:
    return (line.split("\t") for line in (LABELS / name).read_text().splitlines())


def _census(catalog: ModelCatalog) -> dict[str, int]:
    """Compare the groups of the most used models with their labels."""
    counts: Counter[str] = Counter(names=len({name for name, *_ in rows("census.tsv")}))
    for name, place, label, _ in rows("census.tsv"):
        provider, _, model = place.partition("/")
        facts = catalog.find(provider, model)
        together = facts is not None and facts.name == catalog.name_of(name)
        counts["siblings"] += together
        counts["wrong siblings"] += together and label != "same"
        counts["missing siblings"] += not together and label == "same"
    return dict(counts)


def _recall(catalog: ModelCatalog) -> dict[str, float]:
    listed = [(name, provider) for name, provider, *_ in rows("recall.tsv")]
    found = [any(place[0] == provider for place in catalog.serving(name)) for name, provider in listed]
    return {
        "models": len({name for name, _ in listed}),
        "providers that serve them": len(found),
        "found": sum(found),
        "share": round(sum(found) / len(found), 4),
    }


def _prices(catalog: ModelCatalog) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for provider, model, input_, output, source in rows("first_party_prices.tsv"):
        facts = catalog.find(provider, model)
        rates = facts.price.rates if facts is not None and facts.price is not None else None
        expected = (round(float(input_) * 1e6), round(float(output) * 1e6))
        kind = "tables agree" if source.startswith(("genai-prices,", "litellm,")) else "settled one by one"
        counts[kind] += 1
        counts[f"{kind}, equal"] += rates is not None and (rates.input, rates.output) == expected
    return dict(counts)


if __name__ == "__main__":
    sys.exit(main())
