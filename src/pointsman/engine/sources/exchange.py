"""The parts that all sources of credentials share: requests to token services, and the results."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import is_loopback, is_metadata
from pointsman.domain.origin import Concrete, Credential, Origin
from pointsman.domain.redaction import redact
from pointsman.domain.urls import split_url, target_of, without_secrets
from pointsman.transport.fetch import Fetched, FetchError

FORM = {"content-type": "application/x-www-form-urlencoded"}
MOST_DETAIL = 200  # characters of a token service's own words in a message
_REFUSALS = frozenset({400, 401, 403, 404})

T = TypeVar("T")
# Sends a request. The last argument says that it goes to a service of the machine itself, without a proxy.
Send = Callable[[Origin, UpstreamRequest, bool], Awaitable[Fetched]]


class Minted(Struct, frozen=True):
    """A concrete credential, and its end in Unix seconds. Without an end, it stays valid."""

    credential: Concrete
    expires_at: float | None = None


class RefusedError(Exception):
    """A token service refuses the credentials, or the machine has none. The message says what to do."""


class UnavailableError(Exception):
    """A token service does not answer as it should. A later request may succeed."""

    def __init__(self, kind: Kind | None, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@contextmanager
def hiding(credential: Credential) -> Iterator[None]:
    """Remove the secrets of a credential that was found on the machine from the errors of its use."""
    try:
        yield
    except RefusedError as error:
        raise RefusedError(_without(str(error), credential)) from None
    except UnavailableError as error:
        raise UnavailableError(error.kind, _without(str(error), credential)) from None


def _without(message: str, credential: Credential) -> str:
    return redact(Failure(failures.CREDENTIAL_REJECTED, message), credential).message


class Machine(Struct, frozen=True):
    """The surroundings of the process: its environment and home, the time in Unix seconds, and its network."""

    environ: Mapping[str, str]
    home: Path
    clock: Callable[[], float]
    send: Send

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        is_local: bool = False,
    ) -> Fetched:
        """Return the answer to a request, whatever its status. If it `is_local`, it uses no proxy, like every request
        to a metadata service or to this machine. Raises `RefusedError` for an invalid address, and
        `UnavailableError`."""
        origin, rest = _split(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if not lines.isascii():
            raise RefusedError(f"a header for the token service at {origin} has characters that are not ASCII")
        request = UpstreamRequest(method.encode(), target_of(rest), lines.encode("ascii"), body)
        is_near = is_local or is_metadata(origin.host) or is_loopback(origin.host)
        try:
            return await self.send(origin, request, is_near)
        except FetchError as error:
            raise UnavailableError(error.kind, str(error)) from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        """Return the answer to a request with secrets, which needs `https` unless it stays on this machine. Raises
        `RefusedError` and `UnavailableError`."""
        if url[:5].lower() == "http:" and not is_loopback(_split(url)[0].host):
            raise RefusedError(
                f"the address {without_secrets(url)} would get the secret unencrypted; it must begin with https://"
            )
        return await self.ask(url, method="POST", headers=headers, body=body)

    async def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Fetched:
        """Return the answer to a form with secrets. Raises like `post`."""
        return await self.post(url, urlencode(fields).encode(), {**FORM, **(headers or {})})

    def read(self, path: str, purpose: str) -> str:
        """Return the text of a file, without white space around it. Raises `UnavailableError`: another service may be
        about to write it."""
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UnavailableError(None, f"{purpose} {path} cannot be read: {reason}") from None


def _split(url: str) -> tuple[Origin, str]:
    try:
        return split_url(url)
    except ValueError as error:
        raise RefusedError(f"the address {without_secrets(url)!r} of the token service is not valid: {error}") from None


class _OauthError(Struct):
    error: str = ""
    error_description: str = ""


class OauthToken(Struct):
    """The answer of an OAuth token service. https://www.rfc-editor.org/rfc/rfc6749#section-5.1"""

    access_token: str
    expires_in: int | str = 3600
    expires_on: int | str = ""  # in Unix seconds; only App Service returns it alone


def token_in(answer: Fetched, service: str, advice: str) -> OauthToken:
    """Return the token in an answer of `service`. Raises `RefusedError` with `advice`, and `UnavailableError`."""
    if answer.status != 200:
        try:
            found = msgspec.json.decode(answer.body, type=_OauthError)
        except msgspec.DecodeError:
            found = _OauthError()
        raise failed(answer.status, service, f"{found.error}: {found.error_description}".strip(": "), advice)
    token = decoded(answer, OauthToken, service)
    if not token.access_token:
        raise UnavailableError(None, f"{service} returned an empty token")
    return token


def failed(status: int, service: str, detail: str, advice: str) -> Exception:
    """Return the error for a status, with the service's own words."""
    words = "".join(one if one.isprintable() else " " for one in detail)[:MOST_DETAIL]
    said = f" ({words})" if words else ""
    if status in _REFUSALS:
        return RefusedError(f"{service} refused with status {status}{said}; {advice}")
    return UnavailableError(None, f"{service} answered with status {status}{said}")


def decoded(answer: Fetched, shape: type[T], service: str) -> T:
    """Return the content of an answer. Raises `UnavailableError`."""
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except msgspec.DecodeError as error:
        raise UnavailableError(None, f"{service} returned an unreadable answer: {error}") from None


def end_of(expires_in: int | str, now: float) -> float:
    """Return the end of a token, in Unix seconds, from its life in seconds."""
    try:
        return now + max(float(expires_in), 0.0)
    except ValueError:
        return now + 3600.0


def moment_of(text: str) -> float | None:
    """Return a time of ISO 8601 in Unix seconds; `None` if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def moment_in(seconds: int | str) -> float | None:
    """Return a time in Unix seconds, which may be a text; `None` if it is none."""
    try:
        return float(seconds)
    except ValueError:
        return None
