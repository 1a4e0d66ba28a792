"""Replays the recent requests of a running gateway under new rules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from pointsman.cli._terminal import print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointsman.domain.records import RequestRecord
    from pointsman.domain.snapshots import Snapshot
    from pointsman.routing.replay import Summary

MOST = 100_000
_PAGE = 500
_TIME = "%Y-%m-%d %H:%M:%SZ"


def replay(rules: Path, config: Path | None, last: int, *, url: str, token_file: Path | None, as_json: bool) -> None:
    """Print how many of the last requests would have gone elsewhere under the rules of a file, and which."""
    import msgspec

    from pointsman.engine.live import Live
    from pointsman.routing.replay import Replay, summarize

    snapshot = _compiled_or_exit(rules, config)
    found = summarize(_records(last, url, token_file), Replay(snapshot, Live(snapshot)).of)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)


def _compiled_or_exit(rules: Path, config: Path | None) -> Snapshot:
    from pointsman.config.new_rules import compile_with_rules
    from pointsman.config.problems import render

    checked = compile_with_rules(rules, config, os.environ)
    if checked.compiled is None:
        errors = [problem for problem in checked.problems if problem.severity == "error"]
        for line in render(errors, str(rules)):
            print_line(line, err=True)
        raise typer.Exit(1)
    return checked.compiled.snapshot


def _records(last: int, url: str, token_file: Path | None) -> Iterator[RequestRecord]:
    """Yield the last records, newest first."""
    import msgspec

    from pointsman.cli._admin import get
    from pointsman.domain.records import RequestRecord

    before = None
    while last > 0:
        limit = min(last, _PAGE)
        page = get(url, "records", {"limit": limit, "before": before}, token_file)
        found = msgspec.convert(page, list[RequestRecord])
        yield from found
        if len(found) < limit:
            return
        last, before = last - limit, found[-1].request_id


def _print(found: Summary) -> None:
    from pointsman.cli._admin import format_utc

    if not found.requests:
        print_line("no request found; new requests take a moment to appear, and old ones are deleted")
        return
    counts = {
        "requests": found.requests,
        "would have gone elsewhere": len(found.elsewhere),
        "are undecidable": len(found.undecidable),
        "would have gone where they went": found.same,
        "had no target to choose": found.unrouted,
    }
    for text, count in counts.items():
        print_line(f"{count:6} {text}")
    if found.elsewhere:
        print_line()
        lines = [
            (
                format_utc(one.at, _TIME),
                one.model,
                one.went_to,
                one.would_go_to,
                ", ".join(one.rules) or "none",
                one.request_id,
            )
            for one in found.elsewhere
        ]
        print_table(("time", "requested", "went to", "would go to", "rules", "id"), lines)
    if found.undecidable:
        print_line()
        print_line("undecidable, because a fact was not stored")
        for one in found.undecidable:
            print_line(f"  {one.request_id}  {', '.join(one.missing)}")
    if found.facts:
        print_line()
        print_line("to decide on such requests in future, add these facts to logging.facts:")
        for name, count in found.facts.items():
            print_line(f"  {name}  ({count} requests)")
