"""The clock of this machine agrees with those of the providers."""

import asyncio
from time import time

from pointsman.doctor.api import Finding, Subject, error, ok, skipped, warning
from pointsman.domain.http_date import http_unix_s
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.targets import Endpoint
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.fetch import FetchError, fetch
from pointsman.transport.http_client import HttpClient

TIMEOUT_S = 10.0
MAX_BYTES = 1024 * 1024
ASKED = 3  # providers: the median of their clocks is compared
SOME_S, MUCH_S = 5.0, 60.0


async def check(subject: Subject) -> list[Finding]:
    """Compare the clock with the `date` header of some providers, whatever the status of their answers."""
    if subject.snapshot is None:
        return []
    if not subject.is_online:
        return [skipped("is not compared, because of --offline")]
    origins = {endpoint.origin: endpoint for endpoint in subject.snapshot.endpoints.values()}
    found = await asyncio.gather(*map(_ahead, list(origins.values())[:ASKED]))
    ahead = sorted(one for one in found if one is not None)
    if not ahead:
        return [skipped("no provider states its time")]
    by_s = ahead[len(ahead) // 2]
    text = f"this machine is {abs(by_s):.0f} s {'ahead of' if by_s > 0 else 'behind'} the providers"
    advice = "synchronise the clock (timedatectl set-ntp true); windows of budgets, tokens and signatures depend on it"
    if abs(by_s) > MUCH_S:
        return [error(text, advice)]
    return [warning(text, advice) if abs(by_s) > SOME_S else ok("agrees with those of the providers")]


async def _ahead(endpoint: Endpoint) -> float | None:
    """Return the seconds that this machine is ahead of a provider."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    client = HttpClient(loop, deadlines, endpoint.network)
    request = UpstreamRequest(b"GET", f"{endpoint.base_path}/models".encode(), b"", b"")
    began_at = time()
    try:
        answer = await fetch(client, endpoint.origin, request, TIMEOUT_S, MAX_BYTES)
        ended_at = time()
    except FetchError:
        return None
    finally:
        await client.close()
        deadlines.close()
    stated = http_unix_s(answer.headers.get(b"date", b"").decode("latin-1"))
    return (began_at + ended_at) / 2 - stated - 0.5 if stated is not None else None  # the header has whole seconds
