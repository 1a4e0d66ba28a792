"""Lists, exports and verifies the audit log."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_row, print_table

_TIME = "%Y-%m-%d %H:%M:%SZ"
_COLUMNS = ("number", "time", "who", "action", "object", "outcome", "fields")

command = typer.Typer(
    help="List, export and verify the audit log: every change, and every login. The admin token comes from "
    "POINTSMAN_ADMIN_TOKEN or a file. `verify` needs none.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Since = Annotated[
    str | None,
    typer.Option("--since", help="The start in UTC: a date such as 2026-11-01, a date with a time, or Unix seconds."),
]
Until = Annotated[str | None, typer.Option("--until", help="The end, exclusive, in the same formats.")]


@command.command("list")
def list_(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    actor: Annotated[str | None, typer.Option("--actor", help="Only calls of this caller, such as user:ann.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only this action, such as create.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only objects of this kind, such as key.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only the object with this name.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Only objects of this team.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most records to print.")] = 50,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List records, the newest first. Times are in UTC."""
    from pointsman.cli._admin import get

    filters = {"actor": actor, "action": action, "kind": kind, "name": name, "team": team, "limit": limit}
    rows = get(url, "audit", {**filters, **_span(since, until)}, token_file)["rows"]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(_COLUMNS, map(_cells, rows), numbers={"number"})
    else:
        print_line("no record found")


@command.command("export")
def export(
    form: Annotated[str, typer.Option("--format", help="jsonl, or syslog (RFC 5424).")] = "jsonl",
    after: Annotated[int, typer.Option("--after", min=0, help="Only records after this number.")] = 0,
    since: Since = None,
    until: Until = None,
    url: Url = URL,
    token_file: TokenFile = None,
) -> None:
    """Print all records in their order."""
    import socket

    from pointsman.cli._admin import stream
    from pointsman.control.audit_check import record_of
    from pointsman.domain.syslog import syslog_line

    if form not in ("jsonl", "syslog"):
        raise typer.BadParameter("use jsonl or syslog", param_hint="--format")
    host = socket.gethostname()
    for line in stream(url, "audit/export", {"after": after, **_span(since, until)}, token_file):
        print_row(line if form == "jsonl" else f"{syslog_line(record_of(line.encode()), host)}\n")


@command.command("verify")
def verify(
    config: Annotated[
        Path | None, typer.Option("--config", help="The configuration file. Default: the environment.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Verify this export instead of the store.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the chain of all records, and its end against the anchor in the data folder. Exit with 1 if a record was
    changed, removed, added or moved. Run it as the gateway's user, with its environment; the gateway may be running."""
    import msgspec

    from pointsman.control.audit_check import verify_export

    if file is not None:
        with file.open("rb") as lines:
            found = verify_export(lines)
    else:
        found = _verified(config)
    if as_json:
        print_json({"intact": not found.faults, **msgspec.to_builtins(found)})
    else:
        for fault in found.faults:
            print_line(fault, err=True)
        state = "NOT intact" if found.faults else "intact"
        print_line(f"the log is {state}: {found.records} records, the last one has the hash {found.hash}")
    raise typer.Exit(1 if found.faults else 0)


@command.command("accept")
def accept(url: Url = URL, token_file: TokenFile = None) -> None:
    """Take the log as it is for the truth, after you examined a fault or restored a backup. The log has a record of
    this. It requires the permission audit:write."""
    from pointsman.cli._admin import post

    found = post(url, "audit/accept", {}, token_file)
    print_line(f"accepted; the fault was: {found['fault']}" if found["fault"] else "accepted; there was no fault")


def _verified(config: Path | None) -> Any:
    import asyncio
    import os

    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.config.sealing import MasterKeys
    from pointsman.control.anchor import AnchorFile
    from pointsman.control.audit_check import verify_store
    from pointsman.control.store.database import StoreError, store_url

    compiled = compiled_or_exit(config)
    settings = compiled.settings
    keys = MasterKeys(os.environ, settings.data_dir, Path(compiled.master_key) if compiled.master_key else None)
    secret = settings.store_url
    try:
        url = store_url(secret.reveal() if secret is not None else None, settings.data_dir)
        return asyncio.run(verify_store(url, AnchorFile(settings.data_dir, keys)))
    except StoreError as error:
        print_line(f"the store cannot be read: {error}", err=True)
        raise typer.Exit(1) from None


def _span(since: str | None, until: str | None) -> dict[str, float | None]:
    from pointsman.cli._admin import parse_time

    return {
        "since": parse_time(since, "--since") if since is not None else None,
        "until": parse_time(until, "--until") if until is not None else None,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import format_utc

    place = f"{row['actor']} ({row['address']})" if row["address"] else row["actor"]
    fields = ", ".join(dict.fromkeys(one["field"] for one in row["changes"]))
    subject = " ".join(filter(None, (row["kind"], row["name"])))
    return (str(row["number"]), format_utc(row["at"], _TIME), place, row["action"], subject, row["outcome"], fields)
