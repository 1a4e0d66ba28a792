"""Prints recent requests, or the routing of one request."""

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

_TIME = "%Y-%m-%d %H:%M:%SZ"


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    request_id: Annotated[
        str | None, typer.Argument(help="The id of one request, to print in full.", show_default=False)
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only requests of this virtual key.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only requests that this provider served.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only requests for this model.")] = None,
    status: Annotated[int | None, typer.Option("--status", help="Only requests with this response status.")] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="Only requests with this `x-request-id` from the client.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="The largest number of requests to print.")
    ] = 20,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the latest requests, or one request with its attempts, verdicts and cost. Times are in UTC. The admin token
    comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from urllib.parse import quote

    from pointsman.cli._admin import get

    if request_id is not None:
        found = get(url, f"requests/{quote(request_id, safe='')}", {}, token_file)
    else:
        parameters = {"limit": limit, "key": key, "provider": provider, "model": model, "status": status}
        found = get(url, "requests", {**parameters, "client_request_id": client_id}, token_file)
    if as_json:
        print_json(found)
    elif request_id is not None:
        _print_one(found)
    else:
        _print_all(found)


def _print_all(rows: list[dict[str, Any]]) -> None:
    from pointsman.cli._admin import describe_uncertainty, dollars, format_utc

    if not rows:
        print_line("no request found; new requests take a moment to appear, and old ones are deleted")
        return
    names = ("time", "key", "requested", "served by", "status", "cost", "id")
    lines = [
        (
            format_utc(row["at"], _TIME),
            row["virtual_key"],
            row["model"],
            row["provider"],
            str(row["status"] or "worker died"),
            f"{dollars(row['cost_nano'])}{describe_uncertainty(row)}",
            row["request_id"],
        )
        for row in rows
    ]
    print_table(names, lines, numbers={"cost"})


def _print_one(one: dict[str, Any]) -> None:
    import msgspec

    from pointsman.cli._admin import describe_uncertainty, dollars, format_utc
    from pointsman.domain.records import RequestRecord
    from pointsman.routing.explain import recorded_lines

    target = f"{one['provider']}/{one['attempts'][-1]['model']}" if one["attempts"] else one["provider"]
    status = one["status"] or "the worker died"
    model = f"{one['model']} on " if one["model"] else ""
    retries = one.get("client_retries")
    facts = {
        "request": one["request_id"],
        "time": format_utc(one["at"], _TIME),
        "status": f"{status} {one['code']}: {one['message']}" if one.get("code") else str(status),
        "key, team, customer": ", ".join(filter(None, (one["virtual_key"], one.get("team"), one.get("customer")))),
        "requested": f"{model}{one['path']}{', streamed' if one['stream'] else ''}",
        "served by": target,
        "copy of": one.get("mirror_of") or "",
        "variant": one.get("variant") or "",
        "tokens": f"{one['tokens_in']} in, {one['tokens_out']} out" if one.get("tokens_in") is not None else "",
        "duration": f"{one['duration_us'] / 1000:.1f} ms, of which gateway {one['gateway_us'] / 1000:.2f} ms",
        "cost": f"{dollars(one['cost_nano'])}{describe_uncertainty(one)}",
        "client": one.get("client") or "",
        "client's id": one.get("client_request_id") or "",
        "client's retry": retries if retries and retries != "0" else "",
        "session": one.get("session") or "",
        "agent": ", started by ".join(filter(None, (one.get("agent"), one.get("parent_agent")))),
        "tags": ", ".join(f"{name}={value}" for name, value in one["tags"].items()),
    }
    for name, value in facts.items():
        if value:
            print_line(f"{name + ':':21}{value}")
    if one.get("compared"):
        print_line()
        print_line("comparison with the request that it is a copy of")
        for name, value in one["compared"].items():
            print_line(f"  {name.replace('_', ' ') + ':':19}{value}")
    if one["attempts"]:
        print_line()
        print_line("attempts, in order")
        names = ("", "provider", "model", "key", "outcome", "duration", "tokens", "cost")
        lines = [_attempt(number, attempt) for number, attempt in enumerate(one["attempts"], 1)]
        print_table(names, lines, numbers={"duration", "cost"})
    decision = recorded_lines(msgspec.convert(one, RequestRecord))
    if decision:
        print_line()
        print_line("decision, as `pointsman explain` prints it")
        for line in decision:
            print_line(f"  {line}")


def _attempt(number: int, attempt: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import dollars

    message = f": {attempt['message']}" if attempt.get("message") else ""
    if attempt.get("events_left_out"):
        message += f" (events dropped: {attempt['events_left_out']})"
    role = next((f"{name}, " for name in ("hedge", "race", "continuation") if attempt.get(name)), "")
    held = f", {dollars(attempt['held_nano'])} more held" if attempt.get("held_nano") else ""
    return (
        str(number),
        attempt["provider"] or "",
        attempt["model"] or "",
        attempt["key"] or "",
        f"{role}{attempt['outcome']}{message}",
        f"{attempt['duration_us'] / 1000:.1f} ms",
        f"{attempt['tokens_in']} in, {attempt['tokens_out']} out",
        f"{dollars(attempt['cost_nano'])} ({attempt['usage_source']}{held})",
    )
