"""Calls the admin API of a running gateway."""

import json
import os
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

from pointsman.cli._terminal import print_line
from pointsman.domain.dollars import dollars as domain_dollars

VARIABLE = "POINTSMAN_ADMIN_TOKEN"
URL = "http://127.0.0.1:8081"
dollars = partial(domain_dollars, decimals=2, grouped=True)


def get(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> Any:
    """Send a GET and return the decoded response. Exit with a message if that fails."""
    query = urlencode({name: value for name, value in parameters.items() if value not in (None, [])}, doseq=True)
    return _data_or_exit(url, *_call(url, f"{path}?{query}", token_file, None))


def try_get(url: str, path: str, token_file: Path | None) -> Any:
    """Send a GET and return the decoded response. Raises `OSError` if there is none, or one with another status."""
    request = Request(f"{url.rstrip('/')}/api/v1/{path}", headers={"authorization": f"Bearer {_token(token_file)}"})  # noqa: S310 -- the user's own address
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except ValueError as error:
        raise OSError(f"{url} did not return JSON") from error


def get_text(url: str, path: str, token_file: Path | None) -> str:
    """Return the text at a path of the console's address. Exit with a message if that fails."""
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--url")
    request = Request(f"{url.rstrip('/')}/{path}", headers={"authorization": f"Bearer {_token(token_file)}"})  # noqa: S310 -- the scheme was checked
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 -- the scheme was checked
            return str(answer.read().decode())
    except HTTPError as error:
        print_line(f"{url} returned {error.code}: {error.reason}", err=True)
    except OSError as error:
        print_line(f"cannot reach {url}: {getattr(error, 'reason', error)}; is the gateway running?", err=True)
    raise typer.Exit(1)


def post(url: str, path: str, data: object, token_file: Path | None, expected: Collection[int] = ()) -> Any:
    """Send JSON by POST and return the decoded response. A status in `expected` is no error."""
    status, answer = _call(url, path, token_file, json.dumps(data).encode())
    return answer if status in expected else _data_or_exit(url, status, answer)


def delete(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> Any:
    """Send a DELETE and return the decoded response. Exit with a message if that fails."""
    return _data_or_exit(url, *_call(url, f"{path}?{urlencode(parameters)}", token_file, None, "DELETE"))


def _data_or_exit(url: str, status: int, answer: Any) -> Any:
    if 200 <= status < 300:
        return answer
    try:
        message = answer["error"]["message"]
    except (KeyError, TypeError):
        message = "no reason given"
    print_line(f"{url} returned {status}: {message}", err=True)
    raise typer.Exit(1)


def _call(
    url: str, path: str, token_file: Path | None, body: bytes | None, method: str | None = None
) -> tuple[int, Any]:
    """Return the status and data of a response."""
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--url")
    headers = {"authorization": f"Bearer {_token(token_file)}", "content-type": "application/json"}
    request = Request(f"{url.rstrip('/')}/api/v1/{path}", body, headers, method=method)  # noqa: S310 -- the scheme was checked
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 -- the scheme was checked
            return answer.status, json.load(answer)
    except HTTPError as error:
        try:
            return error.code, json.load(error)
        except ValueError:
            return error.code, {"error": {"message": error.reason}}
    except ValueError:
        print_line(f"{url} did not return JSON; set --url to the console's address", err=True)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        message = getattr(reason, "strerror", None) or reason
        print_line(f"cannot reach {url}: {message}; is the gateway running?", err=True)
    raise typer.Exit(1)


def parse_time(text: str, option: str) -> float:
    """Parse a time as Unix seconds. Accepts Unix seconds, or an ISO 8601 date or time, in UTC unless it sets a zone."""
    from datetime import UTC, datetime

    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a time; write 2026-11-01, 2026-11-01T12:00 or Unix seconds"
        raise typer.BadParameter(message, param_hint=option) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def format_utc(at: float, pattern: str = "%Y-%m-%d %H:%MZ") -> str:
    """Format Unix seconds as a time in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime(pattern)


def describe_uncertainty(row: Mapping[str, Any]) -> str:
    """Return a note if part of a cost is estimated or reserved, because the provider did not report it."""
    parts = [name for name in ("estimated", "reserved") if row.get(f"{name}_nano")]
    return f" ({' and '.join(parts)})" if parts else ""


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise typer.BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--token-file") from None
    token = os.environ.get(VARIABLE)
    if not token:
        raise typer.BadParameter(f"no admin token; set {VARIABLE}, or name its file with --token-file")
    return token
