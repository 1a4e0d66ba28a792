"""Reports what a virtual key can reach, for an auditor."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import AsJson, NoSecrets
from pointsman.cli._terminal import print_json, print_line

if TYPE_CHECKING:
    from pointsman.routing.reach import Reach, ReachRow, UsedTag


class ComplianceAction(StrEnum):
    """The actions of the command."""

    REPORT = "report"


_HELP = {
    "action": "`report`: what a virtual key can reach, by which tags, and what is excluded.",
    "key": "The name of the virtual key.",
    "config": "The configuration file. Default: built from the environment, as with `serve`.",
}


def command(
    action: Annotated[ComplianceAction, typer.Argument(help=_HELP["action"])],  # noqa: ARG001 -- there is one
    key: Annotated[str, typer.Option("--key", "-k", help=_HELP["key"])],
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_HELP["config"])] = None,
    no_secrets: NoSecrets = False,
    as_json: AsJson = False,
) -> None:
    """Report which provider keys and models a virtual key can reach, and the tags, evidence and expiry that allow it.

    Everything else is listed with the reason. Requirements of routing rules and of request headers narrow this further.
    Nothing is sent. Exits with 1 if the virtual key can reach nothing.
    """
    import time

    import msgspec

    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.domain.identity import key_named
    from pointsman.routing.reach import reach_of

    snapshot = compiled_or_exit(config, reads_secrets=not no_secrets).snapshot
    found = key_named(snapshot.virtual_keys, key)
    if found is None:
        raise typer.BadParameter(f"unknown virtual key {key!r}", param_hint="--key")
    reach = reach_of(found, snapshot, time.time())
    if as_json:
        print_json(msgspec.to_builtins(reach))
    else:
        for line in _lines(reach):
            print_line(line)
    raise typer.Exit(0 if any(not row.excluded for row in reach.rows) else 1)


def _lines(reach: Reach) -> list[str]:
    lines = [f"virtual key {reach.virtual_key}"]
    lines += [f"  requires {requirement}, from {origin}" for requirement, origin in reach.requirements]
    if not reach.requirements:
        lines.append("  requires nothing")
    lines.append(f"  provider tools: {_tools(reach)}")
    if reach.allow_models:
        lines.append(f"  may request only: {', '.join(reach.allow_models)}")
    used = [row for row in reach.rows if not row.excluded]
    lines += ["", "can reach" if used else "can reach nothing"]
    for row in used:
        lines.append(f"  {_place(row)}")
        lines += [f"    {_tag(tag)}" for tag in row.tags]
    excluded = [row for row in reach.rows if row.excluded]
    if excluded:
        lines += ["", "excluded"]
    lines += [f"  {_place(row)}: {row.excluded}" for row in excluded]
    return lines


def _tools(reach: Reach) -> str:
    if reach.provider_tools is not None:
        return ", ".join(reach.provider_tools) or "none"
    return "none, because a requirement applies" if reach.requirements else "all"


def _place(row: ReachRow) -> str:
    model = "any model" if row.model == "*" else row.model
    return f"{row.provider} (key {row.key}): {model}{f', as {row.name}' if row.name else ''}"


def _tag(tag: UsedTag) -> str:
    from pointsman.domain.requirements import day_of

    expires = f", expires {day_of(tag.expires_at)}" if tag.expires_at is not None else ""
    evidence = f"evidence: {tag.evidence}" if tag.evidence else "no evidence stated"
    return f"{tag.requirement} is met by {tag.value} ({evidence}{expires})"
