"""Lists the public names of a configuration, with their targets and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pointsman.cli._configuration import compiled_or_exit
from pointsman.cli._prices import note_on, usd_of
from pointsman.cli._terminal import print_json, print_line, print_table
from pointsman.money.terms import terms_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pointsman.domain.snapshots import PublicModel, Snapshot
    from pointsman.domain.targets import Candidate


def list_public(config: Path | None, words: Sequence[str], *, reads_secrets: bool, as_json: bool) -> int:
    """Print the public names. Return the status of the command: 1 if there are none."""
    snapshot = compiled_or_exit(config, reads_secrets=reads_secrets).snapshot
    found = [one for one in snapshot.models.values() if all(word.lower() in one.name.lower() for word in words)]
    if as_json:
        print_json([_as_data(one, snapshot) for one in found])
    elif found:
        lines = [_line(one, item, kind, snapshot) for one in found for item, kind in _candidates(one)]
        numbers = ("$ in", "$ out")
        print_table(("public name", "leads to", "as", *numbers, "note", "price from"), lines, numbers)
        print_line("prices in dollars per million tokens")
    return 0 if found else 1


def _candidates(one: PublicModel) -> list[tuple[Candidate, str]]:
    return [*((item, "target") for item in one.targets), *((item, item.provenance) for item in one.fallbacks)]


def _line(one: PublicModel, item: Candidate, kind: str, snapshot: Snapshot) -> tuple[str, ...]:
    terms = terms_of(None, item, snapshot)
    price = terms.price
    facts = snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    return (one.name, item.id, kind, *usd_of(price, "input", "output"), note_on(price, facts), terms.price_source)


def _as_data(one: PublicModel, snapshot: Snapshot) -> dict[str, object]:
    return {
        "name": one.name,
        "candidates": [
            {
                "candidate": item.id,
                "as": kind,
                "price_pico_usd_per_token": msgspec.to_builtins(terms_of(None, item, snapshot).price),
                "price_source": terms_of(None, item, snapshot).price_source,
            }
            for item, kind in _candidates(one)
        ],
    }
