"""Lists the models that a configuration can call, and the reasons why others cannot be called."""

from __future__ import annotations

from collections import Counter
from time import time
from typing import TYPE_CHECKING

import msgspec

from pointsman.catalog.search import fits
from pointsman.cli._configuration import compiled_or_exit
from pointsman.cli._prices import note_on, usd_of
from pointsman.cli._terminal import print_json, print_line, print_table
from pointsman.config.callable_models import callable_models
from pointsman.domain.prices import ModelFacts

if TYPE_CHECKING:
    from pathlib import Path

    from pointsman.catalog.search import Wanted
    from pointsman.config.callable_models import CallableModel


def list_callable(config: Path | None, wanted: Wanted, limit: int, *, reads_secrets: bool, as_json: bool) -> int:
    """Print what a configuration can call. Return the status of the command: 1 if it can call nothing."""
    snapshot = compiled_or_exit(config, reads_secrets=reads_secrets).snapshot
    found = [one for one in callable_models(snapshot, time()) if _is_wanted(one, wanted)]
    usable = [one for one in found if not one.reason]
    listed = found if as_json else usable
    shown = listed[:limit] if limit else listed
    if as_json:
        print_json([_as_data(one) for one in shown])
    else:
        _print(shown)
        _print_reasons([one for one in found if one.reason])
    if len(listed) > len(shown):
        print_line(f"{len(listed) - len(shown)} more; narrow the search, or raise --limit", err=True)
    return 0 if usable else 1


def _is_wanted(one: CallableModel, wanted: Wanted) -> bool:
    if wanted.providers is not None and one.provider not in wanted.providers:
        return False
    return fits(" ".join((one.model, *one.names)), one.facts or ModelFacts(name=one.model), wanted)


def _print(usable: list[CallableModel]) -> None:
    lines = []
    for one in usable:
        sent = one.sent if one.sent != one.model else ""
        names, note = ", ".join(one.names), note_on(one.price, one.facts)
        prices, tags = usd_of(one.price, "input", "output"), ", ".join(one.tags)
        lines.append((one.provider, one.key, one.model, sent, names, *prices, note, one.price_source, tags))
    if lines:
        numbers = ("$ in", "$ out")
        columns = ("provider", "key", "model", "sent as", "a client writes", *numbers, "note", "price from", "tags")
        print_table(columns, lines, numbers)
        print_line("prices in dollars per million tokens; pricing.overrides outranks the overlay, and that the catalog")


def _print_reasons(others: list[CallableModel]) -> None:
    """Print the reasons why models cannot be called: one line for all of a key with the same reason."""
    counts = Counter((one.provider, one.key, one.reason) for one in others)
    first = {(one.provider, one.key, one.reason): one.model for one in reversed(others)}
    if counts:
        print_line()
        print_line("not callable")
    for (provider, key, reason), count in counts.items():
        model = first[provider, key, reason]
        models = model if count == 1 else f"{count} models, such as {model}"
        print_line(f"  {provider} (key {key}), {models}: {reason}")


def _as_data(one: CallableModel) -> dict[str, object]:
    return {
        "provider": one.provider,
        "key": one.key,
        "model": one.model,
        "sent_as": one.sent,
        "names": list(one.names),
        "price_pico_usd_per_token": msgspec.to_builtins(one.price),
        "price_source": one.price_source,
        "note": note_on(one.price, one.facts),
        "tags": list(one.tags),
        "callable": not one.reason,
        "reason": one.reason,
    }
