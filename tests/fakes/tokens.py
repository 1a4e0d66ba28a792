"""A token service without sockets, and a machine with a clock that tests move."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import Origin
from pointsman.engine.sources.exchange import Machine
from pointsman.transport.fetch import Fetched, FetchError

NOW = 1_800_000_000.0


class Asked(Struct):
    """One request to the service. `is_local` says that it went to a metadata service, without the proxy."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    is_local: bool

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


class TokenService:
    """Answers each address with the next of its answers: a status and a JSON value or bytes. The last one repeats.
    Other addresses are unreachable."""

    def __init__(self, answers: Mapping[str, list[tuple[int, object]]]) -> None:
        self.answers = {url: list(found) for url, found in answers.items()}
        self.asked: list[Asked] = []
        self.now = NOW

    def machine(self, environ: Mapping[str, str] | None = None, home: Path = Path("/nowhere")) -> Machine:
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        return Machine(environ or {}, home, clock, self._send)

    async def _send(self, origin: Origin, request: UpstreamRequest, is_local: bool) -> Fetched:
        lines = [line.split(": ", 1) for line in request.headers.decode().split("\r\n") if line]
        url = f"{origin.scheme}://{origin.authority}{request.target.decode()}"
        headers = {one[0]: one[1] for one in lines}
        self.asked.append(Asked(request.method.decode(), url, headers, request.body, is_local))
        answers = self.answers.get(url)
        if not answers:
            raise FetchError(failures.CONNECT_FAILED, f"could not open a connection to {origin}")
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return Fetched(status, {}, body if isinstance(body, bytes) else msgspec.json.encode(body))
