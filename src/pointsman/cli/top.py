"""Shows the traffic, the providers and the limits of a running gateway, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, show, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import RenderableType
    from rich.table import Table

    from pointsman.cli._rates import TargetRates, Traffic

MAX_LIMITS = 8
_STYLES = {"failed": "bold red", "recovering": "yellow", "degraded": "yellow"}


class Page(Struct):
    """All facts of one page: the rates, the answers of the admin API, and the limits that are used most."""

    rates: Traffic
    status: dict[str, Any]
    health: dict[str, Any]
    limits: list[dict[str, Any]]


def command(
    every_s: Annotated[
        float, typer.Option("--every", min=0.5, max=60, help="Seconds between two pages. Rates are those of this time.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one page and exit.")] = False,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show requests, times to the first byte and to the first token (TTFT), tokens and spending of each model, the
    states of providers, and the limits that are used most, until Ctrl-C. The admin token comes from
    POINTSMAN_ADMIN_TOKEN or a file."""
    import time

    from pointsman.cli._rates import rates, read

    before, at = read(_metrics(url, token_file)), time.monotonic()

    def next_page() -> Page:
        nonlocal before, at
        time.sleep(every_s)
        found, now = read(_metrics(url, token_file)), time.monotonic()
        measured = rates(before, found, now - at)
        before, at = found, now
        return _page(measured, url, token_file)

    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(next_page()))
    else:
        show(lambda: _rendered(next_page()), once=once)


def _metrics(url: str, token_file: Path | None) -> str:
    from pointsman.cli._admin import get_text

    return get_text(url, "metrics", token_file)


def _page(measured: Traffic, url: str, token_file: Path | None) -> Page:
    from pointsman.cli._admin import get

    limits = [one for one in get(url, "budgets", {"limit": 1000}, token_file) if one["limit"]]
    limits.sort(key=lambda one: -(one["posted"] + one["lent"]) / one["limit"])
    status, health = get(url, "status", {}, token_file), get(url, "health", {}, token_file)
    return Page(measured, status, health, limits[:MAX_LIMITS])


def _rendered(page: Page) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    trouble = [Text(line, style="bold red") for line in _trouble(page)]
    parts: list[RenderableType] = [Text(_summary(page)), *trouble, Text()]
    names = ("model", "req/s", "failed", "running", "first byte", "TTFT", "TTFT p95", "tokens/s", "$/h")
    rows = [_target(one) for one in page.rates.targets]
    parts.append(_table(names, rows) if rows else Text("no attempt in this time"))
    states = page.health["states"]
    if states:
        rows = [(_name(row), row["state"], row["reason"]) for row in states]
        parts.append(_table(("provider", "state", "reason"), rows, [_STYLES.get(row["state"], "") for row in states]))
    if page.limits:
        parts.append(_table(("limit", "per", "used", "of"), map(_limit, page.limits)))
    return Group(*parts)


def _summary(page: Page) -> str:
    found = page.rates
    workers = [worker for worker in page.status["workers"] if not worker["draining"]]
    traffic = f"{found.requests_per_s:,.1f} requests/s   {found.failed:.1%} failed   {found.in_progress:,} in progress"
    money = f"{found.tokens_per_s:,.0f} tokens/s   ${found.usd_per_h:,.2f}/h"
    return f"{traffic}   {money}   {len(workers)} workers"


def _trouble(page: Page) -> list[str]:
    found = []
    if page.status["store"] != "ok":
        found.append(f"the store is away: {visible(page.status['store'])}")
    if page.status["config_refused"]:
        found.append(f"the file on disk is not in force: {visible('; '.join(page.status['config_refused']))}")
    if page.health["suspecting_workers"]:
        found.append("most providers failed together: check this machine's network and DNS")
    held = [f"held {one['effect']}: {one['name']} {one['reason']}" for one in page.health["holds"]]
    return [*found, *map(visible, held)]


def _target(one: TargetRates) -> tuple[str, ...]:
    return (
        f"{one.provider}/{one.model}",
        f"{one.per_s:,.1f}",
        f"{one.failed:.1%}" if one.failed else "-",
        f"{one.in_progress:,}" if one.in_progress else "-",
        _milliseconds(one.first_byte_p50_s),
        _milliseconds(one.ttft_p50_s),
        _milliseconds(one.ttft_p95_s),
        f"{one.tokens_out_per_s:,.0f}",
        f"{one.usd_per_h:,.2f}",
    )


def _milliseconds(seconds: float | None) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds is not None else "-"


def _name(row: dict[str, Any]) -> str:
    return f"{row['provider']}/{row['model']}" if "key" not in row else f"{row['provider']}, key {row['key']}"


def _limit(one: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import dollars

    amount = dollars(one["limit"]) if one["metric"] == "usd" else f"{one['limit']:,} {one['metric']}"
    return one["owner"], one["period"], f"{(one['posted'] + one['lent']) / one['limit']:.0%}", amount


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(names):
        is_text = number == 0 or name in ("state", "reason", "per")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for number, row in enumerate(rows):
        table.add_row(*(Text(visible(cell)) for cell in row), style=styles[number] if styles else None)
    return table
