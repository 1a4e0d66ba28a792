"""Prints the plan for a request, made by the code that routes requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import NoSecrets
from pointsman.cli._terminal import say, say_data

if TYPE_CHECKING:
    from pointsman.domain.calls import Call
    from pointsman.domain.identity import VirtualKey
    from pointsman.domain.snapshots import Snapshot

_HELP = {
    "config": "The configuration file. Default: built from the environment, as with `serve`.",
    "request": "A file with the JSON body of a request, or `-` for standard input.",
    "model": "A model name, instead of a request file.",
    "stream": "With --model: request a stream.",
    "path": "The path of the request.",
    "header": "A request header that routing reads, such as `x-pointsman-provider: openai`. May be repeated.",
    "key": "The name of the virtual key that sends the request.",
    "seed": "A seed for random choices, so that the plan can be repeated.",
    "json": "Print the plan as JSON.",
}


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    request: Annotated[Path | None, typer.Argument(help=_HELP["request"], show_default=False)] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_HELP["config"])] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=_HELP["model"])] = None,
    stream: Annotated[bool, typer.Option("--stream", help=_HELP["stream"])] = False,
    path: Annotated[str, typer.Option("--path", help=_HELP["path"])] = "/v1/chat/completions",
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help=_HELP["header"])] = None,
    key: Annotated[str | None, typer.Option("--key", "-k", help=_HELP["key"])] = None,
    seed: Annotated[int | None, typer.Option("--seed", help=_HELP["seed"])] = None,
    no_secrets: NoSecrets = False,
    as_json: Annotated[bool, typer.Option("--json", help=_HELP["json"])] = False,
) -> None:
    """Explain how a request would be routed: the attempts in order, and the reason for each excluded candidate.

    Nothing is sent. Every provider counts as healthy and every limit as unused. So billing excludes only a candidate
    without a price, or one that may cost more than a whole limit. Exits with 1 if the request would be rejected.
    """
    import time
    from random import Random

    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.domain.calls import Facts
    from pointsman.domain.failures import Failure, Rejection
    from pointsman.engine.preview import decide_unsent
    from pointsman.routing.admit import check_time
    from pointsman.routing.explain import as_data, as_lines

    body = _read_body(request, model, stream=stream)
    snapshot = compiled_or_exit(config, reads_secrets=not no_secrets).snapshot
    virtual_key = _find_key(snapshot, key) if key is not None else None
    now = time.monotonic()
    try:
        facts = Facts(_parse(snapshot, path, header or [], body), virtual_key)
        refused = check_time(virtual_key, time.time())
        decision = refused or decide_unsent(facts, Random(seed), now)
    except Rejection as refusal:
        decision = refusal.failure
    if as_json:
        say_data(as_data(decision, now))
    else:
        for line in as_lines(decision, now):
            say(line)
    raise typer.Exit(1 if isinstance(decision, Failure) else 0)


def _find_key(snapshot: Snapshot, name: str) -> VirtualKey:
    from pointsman.domain.identity import key_named

    found = key_named(snapshot.virtual_keys, name)
    if found is None:
        raise typer.BadParameter(f"unknown virtual key {name!r}", param_hint="--key")
    return found


def _read_body(request: Path | None, model: str | None, *, stream: bool) -> bytes:
    import json
    import sys

    if (request is None) == (model is None):
        raise typer.BadParameter("give either a request file or --model")
    if request is None:
        # Every path with a model accepts this body; unknown fields pass through.
        message = {"role": "user", "content": "…"}
        return json.dumps(
            {"model": model, "stream": stream, "messages": [message], "input": "…", "prompt": "…"}
        ).encode()
    if stream:
        raise typer.BadParameter("--stream requires --model; set `stream` in the request file instead")
    if str(request) == "-":
        return sys.stdin.buffer.read()
    try:
        return request.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {request}: {error.strerror}") from None


def _parse(snapshot: Snapshot, path: str, headers: list[str], body: bytes) -> Call:
    """Parse the request into a call. Raise `Rejection`."""
    from pointsman.wire import PATHS
    from pointsman.wire.heads import read_head
    from pointsman.wire.paths import PathTable

    lines = {b"content-type": b"application/json"}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise typer.BadParameter(f"{header!r} is not of the form `name: value`", param_hint="--header")
        lines[name.strip().lower().encode()] = value.strip().encode()
    asked = read_head("POST", path, lines, PathTable(PATHS), snapshot)
    if asked.api.parse is None:
        raise typer.BadParameter("the gateway itself serves this path", param_hint="--path")
    return asked.api.parse(asked, body)
