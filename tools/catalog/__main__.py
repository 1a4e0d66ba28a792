"""Writes `src/pointsman/catalog/models.json` and `docs/reference/catalog.md`.

    python -m tools.catalog FOLDER

FOLDER contains the packages of `packages.py`. The same packages give the same files.
"""

import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec

from pointsman.domain.prices import ModelFacts
from tools.catalog import genai, litellm, model_prices, models_dev, pi_ai
from tools.catalog.merge import Merged, merge
from tools.catalog.packages import PACKAGES
from tools.catalog.providers import ROWS
from tools.catalog.records import Table
from tools.catalog.report import page

_MONTH = 31
ROOT = Path(__file__).parents[2]
DATE = date.fromisoformat(max(package.date for package in PACKAGES.values()))


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    tables, hosts = read(folder)
    merged = merge(tables)
    sources = {name: f"{package.name} {package.version}, {package.license}" for name, package in PACKAGES.items()}
    sources["pointsman"] = "known from the gateway's own providers, or moved with the other rates of a tier"
    (ROOT / "src/pointsman/catalog/models.json").write_bytes(data_file(merged, hosts, sources))
    (ROOT / "docs/reference/catalog.md").write_text(page(merged, sources, DATE))
    for warning in old_packages(datetime.now(UTC).date()):
        print(warning, file=sys.stderr)
    names = {places[0] for places in merged.names.values()}
    print(f"{len(merged.entries)} models at providers, {len(names)} canonical names")
    return 0


def read(folder: Path) -> tuple[dict[str, Table], dict[str, str]]:
    """Return the tables by name, and the hosts of providers."""
    modelled, hosts = models_dev.read(_file(folder, "models.dev"))
    tables = {
        "models.dev": modelled,
        "litellm": litellm.read(_file(folder, "litellm")),
        "pi-ai": pi_ai.read(_file(folder, "pi-ai")),
        "model-prices": model_prices.read(_file(folder, "model-prices"), DATE),
    }
    known = {place for table in tables.values() for place in table}
    return tables | {"genai-prices": genai.read(known, DATE)}, hosts


def _file(folder: Path, table: str) -> Path:
    package = PACKAGES[table]
    pattern = f"*{package.name.rpartition('/')[2].replace('-', '?')}-{package.version}*"
    found = next(folder.glob(pattern))
    if package.sha256 and sha256(found.read_bytes()).hexdigest() != package.sha256:
        raise SystemExit(f"{found} does not have the checksum of tools/catalog/packages.py")
    return found


def old_packages(today: date) -> list[str]:
    """Return the tables that are older than a month."""
    return [
        f"{table} is of {package.date}: look for a newer {package.name}"
        for table, package in PACKAGES.items()
        if today - date.fromisoformat(package.date) > timedelta(days=_MONTH)
    ]


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
    dates = _json({name: package.date for name, package in sorted(PACKAGES.items())})
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
