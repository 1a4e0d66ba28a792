"""Prints the story of one request."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

WIDTH = 50  # of the drawing of attempts, in characters
_TIME = "%Y-%m-%d %H:%M:%SZ"


def command(
    request_id: Annotated[str, typer.Argument(help="The id of the request, from the header x-pointsman-request-id.")],
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the story of one request: its attempts over time, the verdicts on all candidates, and its cost. Times are
    in UTC. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from urllib.parse import quote

    from pointsman.cli._admin import get

    found = get(url, f"requests/{quote(request_id, safe='')}", {}, token_file)
    if as_json:
        print_json(found)
    else:
        _print_one(found)


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
        for line in timeline(one["attempts"], one["duration_us"]):
            print_line(f"  {line}")
    decision = recorded_lines(msgspec.convert(one, RequestRecord))
    if decision:
        print_line()
        print_line("decision, as `pointsman explain` prints it")
        for line in decision:
            print_line(f"  {line}")


def timeline(attempts: Sequence[dict[str, Any]], duration_us: int) -> list[str]:
    """Draw the attempts over the time of the request: dots until the first byte, then a line until the end."""
    if len(attempts) < 2 or duration_us <= 0:
        return []
    scale = WIDTH / max(duration_us, *(one["start_us"] + one["duration_us"] for one in attempts))
    lines = []
    for number, one in enumerate(attempts, 1):
        begin, end = int(one["start_us"] * scale), int((one["start_us"] + one["duration_us"]) * scale)
        first = min(end, int(one["first_byte_us"] * scale)) if one.get("first_byte_us") is not None else end
        bar = f"{'':{begin}}{'.' * (first - begin)}{'-' * (end - first)}{'|' if one['outcome'] == 'ok' else 'x'}"
        lines.append(f"{number}  {bar:{WIDTH + 1}}  {(one['start_us'] + one['duration_us']) / 1000:,.1f} ms")
    return lines


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
