"""Calls the admin API of a running gateway."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

from pointsman.cli._terminal import print_line
from pointsman.domain.dollars import dollars as domain_dollars

VARIABLE = "POINTSMAN_ADMIN_TOKEN"
URL = "http://127.0.0.1:8081"
dollars = partial(domain_dollars, decimals=2, grouped=True)
BATCH_SIZE = 500  # items in one call


def get(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> Any:
    """Send a GET and return the decoded response. Exit with a message if that fails."""
    with _exiting():
        return try_get(url, f"{path}?{_query(parameters)}", token_file)


def try_get(url: str, path: str, token_file: Path | None) -> Any:
    """Send a GET and return the decoded response. Raises `OSError` if that fails."""
    return _decoded(url, _send(url, _request(url, f"api/v1/{path}", token_file)))


def get_page(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> tuple[Any, str | None]:
    """Send a GET and return the decoded response, and the id before which the next page begins."""
    request = _request(url, f"api/v1/{path}?{_query(parameters)}", token_file)
    with _exiting(), _opened(url, request) as answer:
        return _decoded(url, bytes(answer.read())), answer.headers.get("x-pointsman-next")


def stream(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> Iterator[str]:
    """Send a GET and yield the lines of the response as they arrive. Exit with a message if it breaks off."""
    request = _request(url, f"api/v1/{path}?{_query(parameters)}", token_file)
    with _exiting(), _opened(url, request) as answer:
        rest = b""
        while data := answer.read1(65536):  # its lines would end without an error if the answer broke off
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield f"{line.decode()}\n"


def _query(parameters: Mapping[str, Any]) -> str:
    return urlencode({name: value for name, value in parameters.items() if value not in (None, [])}, doseq=True)


def get_text(url: str, path: str, token_file: Path | None) -> str:
    """Return the text at a path of the console's address. Exit with a message if that fails."""
    with _exiting():
        return _send(url, _request(url, path, token_file)).decode()


def post(url: str, path: str, data: object, token_file: Path | None, expected: Collection[int] = ()) -> Any:
    """Send JSON by POST and return the decoded response. A status in `expected` is no error."""
    request = _request(url, f"api/v1/{path}", token_file)
    request.data = json.dumps(data).encode()
    with _exiting():
        return _decoded(url, _send(url, request, expected))


def post_in_batches(url: str, path: str, field: str, items: Sequence[Any], token_file: Path | None) -> Iterator[Any]:
    """Send items by POST, some in each call, and yield the responses. One with 409 names the items that were
    rejected."""
    for first in range(0, len(items), BATCH_SIZE):
        yield post(url, path, {field: items[first : first + BATCH_SIZE]}, token_file, expected={409})


def patch(url: str, path: str, data: object, token_file: Path | None) -> Any:
    """Send JSON by PATCH and return the decoded response. Exit with a message if that fails."""
    request = _request(url, f"api/v1/{path}", token_file)
    request.data, request.method = json.dumps(data).encode(), "PATCH"
    with _exiting():
        return _decoded(url, _send(url, request))


def put(url: str, path: str, data: object, token_file: Path | None) -> Any:
    """Send JSON by PUT and return the decoded response. Exit with a message if that fails."""
    request = _request(url, f"api/v1/{path}", token_file)
    request.data, request.method = json.dumps(data).encode(), "PUT"
    with _exiting():
        return _decoded(url, _send(url, request))


def delete(url: str, path: str, parameters: Mapping[str, Any], token_file: Path | None) -> Any:
    """Send a DELETE and return the decoded response. Exit with a message if that fails."""
    request = _request(url, f"api/v1/{path}?{urlencode(parameters)}", token_file)
    request.method = "DELETE"
    with _exiting():
        return _decoded(url, _send(url, request))


@contextmanager
def _exiting() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        print_line(str(error), err=True)
        raise typer.Exit(1) from None


def _request(url: str, path: str, token_file: Path | None) -> Request:
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--url")
    headers = {"authorization": f"Bearer {_token(token_file)}", "content-type": "application/json"}
    return Request(f"{url.rstrip('/')}/{path}", headers=headers)  # noqa: S310 -- the scheme was checked


def _send(url: str, request: Request, expected: Collection[int] = ()) -> bytes:
    """Return the body of a response. Raises `OSError` with the reason if there is none, or one with another status than
    200 to 299 and those `expected`."""
    with _opened(url, request, expected) as answer:
        return bytes(answer.read())


@contextmanager
def _opened(url: str, request: Request, expected: Collection[int] = ()) -> Iterator[Any]:
    """Yield a response. Raises `OSError` like `_send`."""
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 -- the scheme was checked
            yield answer
    except HTTPError as error:
        if error.code in expected:
            yield error
            return
        try:
            message = json.loads(error.read())["detail"]
        except (ValueError, KeyError, TypeError):
            message = error.reason
        raise OSError(f"{url} returned {error.code}: {message}") from None
    except HTTPException as error:
        raise OSError(f"{url} broke off its answer, which is not complete: {type(error).__name__}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        message = getattr(reason, "strerror", None) or reason
        raise OSError(f"cannot reach {url}: {message}; is the gateway running?") from None


def _decoded(url: str, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise OSError(f"{url} did not return JSON; set --url to the console's address") from None


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
