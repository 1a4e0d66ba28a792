"""Calls the admin API of a running gateway."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

from pointsman.cli._terminal import say

VARIABLE = "POINTSMAN_ADMIN_TOKEN"
URL = "http://127.0.0.1:8081"


def ask(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> Any:
    """The answer to a GET as data. Leaves the process with a message when there is none."""
    query = urlencode({name: value for name, value in parameters.items() if value not in (None, [])}, doseq=True)
    return _taken(url, *_call(url, f"{path}?{query}", token_file, None))


def send(url: str, path: str, data: object, token_file: Path | None, expected: Collection[int] = ()) -> Any:
    """The answer to a POST of JSON; also one of a status that is `expected`."""
    status, answer = _call(url, path, token_file, json.dumps(data).encode())
    return answer if status in expected else _taken(url, status, answer)


def _taken(url: str, status: int, answer: Any) -> Any:
    if 200 <= status < 300:
        return answer
    try:
        said = answer["error"]["message"]
    except (KeyError, TypeError):
        said = "it gives no reason"
    say(f"{url} answers {status}: {said}", err=True)
    raise typer.Exit(1)


def _call(url: str, path: str, token_file: Path | None, body: bytes | None) -> tuple[int, Any]:
    """Status and data of an answer."""
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("begins with http:// or https://", param_hint="--url")
    headers = {"authorization": f"Bearer {_token(token_file)}", "content-type": "application/json"}
    request = Request(f"{url.rstrip('/')}/api/v1/{path}", body, headers)  # noqa: S310 -- the scheme was looked at
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 -- the scheme was looked at
            return answer.status, json.load(answer)
    except HTTPError as error:
        try:
            return error.code, json.load(error)
        except ValueError:
            return error.code, {"error": {"message": error.reason}}
    except ValueError:
        say(f"{url} gives an answer that is not JSON; is it the console's address?", err=True)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or reason
        say(f"{url} cannot be reached: {said}; is the gateway running?", err=True)
    raise typer.Exit(1)


def moment(text: str, option: str) -> float:
    """Unix seconds of a moment: these, or a day or time as ISO 8601 has it, in UTC where it states no zone."""
    from datetime import UTC, datetime

    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a time: write 2026-11-01, 2026-11-01T12:00 or Unix seconds"
        raise typer.BadParameter(message, param_hint=option) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def known_by(one: Mapping[str, Any]) -> str:
    """How a cost is known, where providers did not tell all of it."""
    parts = [name for name in ("estimated", "reserved") if one.get(f"{name}_nano")]
    return f" ({' and '.join(parts)})" if parts else ""


def dollars(nano: int) -> str:
    """Nano-dollars as dollars, exact, with no more digits than it takes but cents."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    rest = f"{nano % 1_000_000_000:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${nano // 1_000_000_000:,}.{rest}"


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="--token-file") from None
    token = os.environ.get(VARIABLE)
    if not token:
        raise typer.BadParameter(f"set {VARIABLE} to the admin token, or name a file that holds it with --token-file")
    return token
