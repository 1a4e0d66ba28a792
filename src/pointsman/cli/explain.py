"""Prints the plan for a request, made by the code that routes requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import NoSecrets, TokenFile, Url
from pointsman.cli._replay import MOST, replay
from pointsman.cli._terminal import print_json, print_line

if TYPE_CHECKING:
    from pointsman.engine.questions import Question

_HELP = {
    "config": "The configuration file. Default: built from the environment, as with `serve`.",
    "request": "A file with the JSON body of a request, or `-` for standard input.",
    "model": "A model name, instead of a request file.",
    "stream": "With --model: request a stream.",
    "path": "The path of the request.",
    "header": "A request header that routing reads, such as `x-pointsman-provider: openai`. May be repeated.",
    "key": "The name of the virtual key that sends the request.",
    "at": "The time of the request, as `2026-11-01T12:00` in UTC or in Unix seconds. Default: now.",
    "client": "The address of the client.",
    "failing": "A target that counts as failed, as provider/model. May be repeated.",
    "used": "The used percentage of an owner's limits, such as `team:research=85`. May be repeated.",
    "live": "Ask the running gateway, which knows the stored use of limits.",
    "rules": "Replay recent requests of the running gateway under the rules of this file. It is a configuration, or "
    "has only `rules`. With --config, its rules replace those of that configuration.",
    "last": "With --rules: the number of recent requests.",
    "seed": "A seed for random choices, so that the plan can be repeated.",
    "json": "Print the plan as JSON.",
}


_ANSWER_TOKENS = 4096  # which Anthropic's API requires


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    request: Annotated[Path | None, typer.Argument(help=_HELP["request"], show_default=False)] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_HELP["config"])] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=_HELP["model"])] = None,
    stream: Annotated[bool, typer.Option("--stream", help=_HELP["stream"])] = False,
    path: Annotated[str, typer.Option("--path", help=_HELP["path"])] = "/v1/chat/completions",
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help=_HELP["header"])] = None,
    key: Annotated[str | None, typer.Option("--key", "--as", "-k", help=_HELP["key"])] = None,
    at: Annotated[str | None, typer.Option("--at", help=_HELP["at"])] = None,
    client: Annotated[str, typer.Option("--client", help=_HELP["client"])] = "",
    failing: Annotated[list[str] | None, typer.Option("--failing", help=_HELP["failing"])] = None,
    used: Annotated[list[str] | None, typer.Option("--used", help=_HELP["used"])] = None,
    seed: Annotated[int | None, typer.Option("--seed", help=_HELP["seed"])] = None,
    live: Annotated[bool, typer.Option("--live", help=_HELP["live"])] = False,
    rules: Annotated[Path | None, typer.Option("--rules", help=_HELP["rules"])] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=MOST, help=_HELP["last"])] = 1000,
    no_secrets: NoSecrets = False,
    as_json: Annotated[bool, typer.Option("--json", help=_HELP["json"])] = False,
    url: Url = URL,
    token_file: TokenFile = None,
) -> None:
    """Explain how a request would be routed: the rules, the attempts in order, and why others are excluded.

    Nothing is sent. Every provider counts as healthy and, without --live, every limit as unused. Exits with 1 if the
    request would be rejected. With --rules, print which recent requests would have gone elsewhere under other rules.
    """
    from random import randrange

    from pointsman.cli._admin import parse_time
    from pointsman.engine.questions import Question

    if rules is not None:
        if request is not None or model is not None:
            raise typer.BadParameter("--rules replays recorded requests; set no request file and no --model")
        replay(rules, config, last, url=url, token_file=token_file, as_json=as_json)
        return
    question = Question(
        path=path,
        headers=_headers(header or []),
        body=_read_body(request, model, path, stream=stream),
        key=key,
        client=client,
        at=parse_time(at, "--at") if at is not None else None,
        seed=seed if seed is not None else randrange(2**31),
        failing=failing or [],
        used=_percentages(used or []),
    )
    if live:
        _explain_live(question, url, token_file, as_json=as_json)
        return
    _explain(question, config, no_secrets=no_secrets, as_json=as_json)


def _explain(question: Question, config: Path | None, *, no_secrets: bool, as_json: bool) -> None:
    import time

    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.domain.failures import Failure
    from pointsman.engine.questions import NothingUsed, UnknownKeyError, answer
    from pointsman.routing.explain import as_data, as_lines

    snapshot = compiled_or_exit(config, reads_secrets=not no_secrets).snapshot
    now = time.monotonic()
    try:
        found = answer(question, snapshot, NothingUsed(), now, time.time())
    except UnknownKeyError as error:
        raise typer.BadParameter(str(error), param_hint="--key") from None
    if as_json:
        print_json(as_data(found.decision, now, found.consulted))
    else:
        for line in as_lines(found.decision, now, found.consulted):
            print_line(line)
    raise typer.Exit(1 if isinstance(found.decision, Failure) else 0)


def _explain_live(question: Question, url: str, token_file: Path | None, *, as_json: bool) -> None:
    """Ask the running gateway, and print its answer."""
    import json

    import msgspec

    from pointsman.cli._admin import post

    asked = msgspec.to_builtins(question, builtin_types=(bytes,))
    try:
        asked["body"] = json.loads(question.body)
    except ValueError:
        raise typer.BadParameter("the request is not valid JSON") from None
    answer = post(url, "explain", asked, token_file)
    lines = answer.pop("text")
    if as_json:
        print_json(answer)
    else:
        for line in lines:
            print_line(line)
    raise typer.Exit(1 if "refused" in answer else 0)


def _headers(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise typer.BadParameter(f"{line!r} is not of the form `name: value`", param_hint="--header")
        found[name.strip().lower()] = value.strip()
    return found


def _percentages(texts: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        owner, _, percent = text.rpartition("=")
        try:
            found[owner] = float(percent.rstrip("%"))
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not of the form `team:research=85`", param_hint="--used") from None
    return found


def _prompt(path: str) -> dict[str, object]:
    """Return the fields of the shortest prompt that a path accepts. Another dialect cannot express unknown fields."""
    plain, messages = path.partition("?")[0], [{"role": "user", "content": "…"}]
    if plain.endswith("/chat/completions"):
        return {"messages": messages}
    if plain.endswith(("/messages", "/messages/count_tokens")):
        return {"messages": messages, "max_tokens": _ANSWER_TOKENS}
    return {"input": "…"} if plain.endswith("/responses") else {"input": "…", "prompt": "…"}


def _read_body(request: Path | None, model: str | None, path: str, *, stream: bool) -> bytes:
    import json
    import sys

    if (request is None) == (model is None):
        raise typer.BadParameter("set either a request file or --model")
    if request is None:
        return json.dumps({"model": model, "stream": stream, **_prompt(path)}).encode()
    if stream:
        raise typer.BadParameter("--stream requires --model; set `stream` in the request file instead")
    if str(request) == "-":
        return sys.stdin.buffer.read()
    try:
        return request.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {request}: {error.strerror}") from None
