"""Prints the sessions of clients, or one of them with its agents and requests."""

from collections import defaultdict
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

_TIME = "%Y-%m-%d %H:%M:%SZ"


def command(
    session: Annotated[str | None, typer.Argument(help="The id of a session, to print it with its requests.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only sessions of this virtual key.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=500, help="The most sessions, or requests of a session, to print.")
    ] = 50,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the latest sessions with their cost, or the tree of agents and requests of one. Clients name their session
    in `x-pointsman-session`, in a header of a coding agent, or as `prompt_cache_key`. Times are in UTC. The admin token
    comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from urllib.parse import quote

    from pointsman.cli._admin import get

    if session is not None:
        found = get(url, f"sessions/{quote(session, safe='')}", {"limit": limit}, token_file)
        print_json(found) if as_json else _print_one(found)
        return
    found = get(url, "sessions", {"key": key, "limit": limit}, token_file)
    if as_json:
        print_json(found)
    elif found["rows"]:
        _print_all(found["rows"])
        if found["next"] is not None:
            print_line("more sessions exist; raise --limit, or choose a key", err=True)
    else:
        print_line("no session found; clients name theirs in the header x-pointsman-session")


def _print_all(rows: list[dict[str, Any]]) -> None:
    from pointsman.cli._admin import format_utc

    names = ("last request", "lasted", "key", "requests", "failures", "tokens in", "tokens out", "cost", "session")
    lines = [
        (
            format_utc(row["last_at"], _TIME),
            _duration(row["last_at"] - row["first_at"]),
            row["virtual_key"] or "-",
            *_amounts(row),
            row["session"],
        )
        for row in rows
    ]
    print_table(names, lines, numbers=set(names[3:8]))


def _print_one(found: dict[str, Any]) -> None:
    from pointsman.cli._admin import format_utc

    print_line(f"session {found['session']}")
    names = ("key", "team", "first request", "last request", "requests", "failures", "tokens in", "tokens out", "cost")
    times = [(format_utc(row["first_at"], _TIME), format_utc(row["last_at"], _TIME)) for row in found["keys"]]
    lines = [
        (row["virtual_key"] or "-", row["team"] or "-", *at, *_amounts(row))
        for row, at in zip(found["keys"], times, strict=True)
    ]
    print_table(names, lines, numbers=set(names[4:]))
    print_line("agents and requests, the oldest first")
    for line in tree(found):
        print_line(line)
    if found["next"] is not None:
        print_line("older requests exist; raise --limit", err=True)


def tree(found: dict[str, Any]) -> list[str]:
    """Return lines for the agents of a session, each below the one that started it, with their requests."""
    children: dict[str, list[dict[str, Any]]] = defaultdict(list)
    requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    names = {row["agent"] for row in found["agents"]}
    for row in found["agents"]:
        parent = row["parent_agent"] if row["parent_agent"] in names and row["parent_agent"] != row["agent"] else ""
        children[parent].append(row)
    for row in found["requests"][::-1]:
        agent = row["agent"] or ""
        requests[agent if agent in names else ""].append(row)
    lines: list[str] = []
    shown: set[str] = set()

    def show(agent: str, indent: str) -> None:
        lines.extend(f"{indent}{_request(row)}" for row in requests[agent])
        for row in children[agent]:
            if row["agent"] in shown:  # of another key
                continue
            shown.add(row["agent"])
            lines.append(f"{indent}agent {row['agent']}: {_sums(row)}")
            show(row["agent"], indent + "  ")

    show("", "  ")
    for row in found["agents"]:  # those that name each other as their parents
        if row["agent"] not in shown:
            shown.add(row["agent"])
            lines.append(f"  agent {row['agent']}: {_sums(row)}")
            show(row["agent"], "    ")
    return lines


def _sums(row: dict[str, Any]) -> str:
    from pointsman.cli._admin import dollars

    return f"{row['requests']:,} requests, {dollars(row['cost_nano'])}"


def _request(row: dict[str, Any]) -> str:
    from pointsman.cli._admin import dollars, format_utc

    ended = str(row["status"] or "worker died") + (f" {row['code']}" if row["code"] else "")
    tokens = f"{row['tokens_in']} in, {row['tokens_out']} out, " if row["tokens_in"] is not None else ""
    time, took = format_utc(row["at"], "%H:%M:%S"), row["duration_us"] / 1e6
    cost = dollars(row["cost_nano"])
    return f"{time}  {row['model'] or '-'}  {ended}  {tokens}{took:.1f} s, {cost}  {row['request_id']}"


def _amounts(row: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import dollars

    numbers = [f"{row[name]:,}" for name in ("requests", "failures", "tokens_in", "tokens_out")]
    return (*numbers, dollars(row["cost_nano"]))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
