"""Fetching images and documents for a provider that takes no addresses, before its attempt.

Clients choose these addresses, so only public ones are connected to. The connector checks each address after the name
is resolved, and connects to the address that it has checked. So neither a name that changes its address nor a redirect
leads into the network of the gateway. An egress proxy would resolve names itself, so none is used.
"""

import asyncio
from binascii import b2a_base64
from collections.abc import Sequence
from urllib.parse import urljoin

from pointsman import __version__
from pointsman.domain import failures
from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.domain.urls import split_url, target_of, without_secrets
from pointsman.domain.verdicts import Verdict
from pointsman.engine.tasks import Waiter
from pointsman.engine.upstreams import Upstreams
from pointsman.transport.fetch import Fetched, FetchError, fetch
from pointsman.transport.http_client import HttpClient
from pointsman.wire.remote_media import Content, addresses_in, type_of, with_contents

PUBLIC = Network(is_public_only=True, idle_timeout_s=5.0)
MOST_BYTES = 20 * 1024 * 1024  # of all contents of one request
MOST_ADDRESSES = 20
MOST_REDIRECTS = 3
TIMEOUT_S = 10.0  # of one address with its redirects
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = f"user-agent: pointsman/{__version__}\r\naccept: image/*, application/pdf\r\n".encode()


def can_fetch(call: Call, verdicts: Sequence[Verdict]) -> bool:
    """Return whether the gateway may fetch the addresses in a call, and that may help: a candidate cannot express the
    call, perhaps because of them. The policy `provider_tools` has judged that candidate before, and allows it the
    addresses. If the policy rejects any other candidate, nothing is fetched."""
    if call.snapshot.routing.fetch_media == "no" or call.media == NO_MEDIA or call.raw_body is not None:
        return False
    codes = {verdict.reason.code for verdict in verdicts}
    return "not_expressible" in codes and "provider_tool_not_allowed" not in codes


async def fetched(upstreams: Upstreams, call: Call) -> Call | Failure | None:
    """Return the call with the contents of its addresses, `None` if it has none, or the reason that one cannot be
    fetched."""
    addresses = addresses_in(call)
    if not addresses:
        return None
    if len(addresses) > MOST_ADDRESSES:
        return Failure(failures.INVALID_REQUEST, f"the request has more than {MOST_ADDRESSES} addresses of media")
    takes_http = call.snapshot.routing.fetch_media == "http"
    waiter: Waiter[bool] = Waiter()
    task = asyncio.get_running_loop().create_task(_in_turn(upstreams, call, addresses, takes_http=takes_http))
    task.add_done_callback(lambda _: waiter.set(True))
    try:
        await waiter
        return task.result()
    finally:
        task.cancel()


async def _in_turn(upstreams: Upstreams, call: Call, addresses: dict[str, bool], *, takes_http: bool) -> Call | Failure:
    """Fetch when there is room, since each request may hold `MOST_BYTES` several times over."""
    async with upstreams.media_slots:
        return await _replace_all(upstreams.at(PUBLIC), call, addresses, takes_http=takes_http)


async def _replace_all(
    client: HttpClient, call: Call, addresses: dict[str, bool], *, takes_http: bool
) -> Call | Failure:
    contents: dict[str, Content] = {}
    left = MOST_BYTES
    for address, is_image in addresses.items():
        try:
            async with asyncio.timeout(TIMEOUT_S):
                body = await fetch_public(client, address, left, takes_http=takes_http)
        except TimeoutError:
            return _failure(address, f"it does not answer within {TIMEOUT_S:g} seconds")
        except FetchError as error:
            return _failure(address, str(error))
        kind = type_of(body)
        if kind is None or (is_image and not kind.startswith("image/")):
            return _failure(address, f"its content is no {'image' if is_image else 'image or PDF'} of a known type")
        left -= len(body)
        data = await asyncio.to_thread(b2a_base64, body, newline=False)
        contents[address] = Content(kind, data.decode("ascii"))
    try:
        return await asyncio.to_thread(with_contents, call, contents)
    except Rejection as rejection:
        return rejection.failure


async def fetch_public(client: HttpClient, address: str, most_bytes: int, *, takes_http: bool) -> bytes:
    """Return the content at an address, through at most `MOST_REDIRECTS` redirects. `client` connects to public
    addresses only. Raises `FetchError`."""
    for _ in range(MOST_REDIRECTS + 1):
        origin, target = _parsed(address, takes_http=takes_http)
        answer = await fetch(client, origin, UpstreamRequest(b"GET", target, _HEADERS, b""), TIMEOUT_S, most_bytes)
        if answer.status not in _REDIRECTS:
            return _body(answer)
        location = answer.headers.get(b"location")
        if location is None:
            raise FetchError(failures.INVALID_REQUEST, "it redirects without an address")
        address = urljoin(address, location.decode("latin-1"))
    raise FetchError(failures.INVALID_REQUEST, f"it redirects more than {MOST_REDIRECTS} times")


def _body(answer: Fetched) -> bytes:
    if answer.status != 200:
        raise FetchError(failures.INVALID_REQUEST, f"its server answered with status {answer.status}")
    return answer.body


def _parsed(address: str, *, takes_http: bool) -> tuple[Origin, bytes]:
    """Return the origin and the target of a request. Raises `FetchError`."""
    schemes = ("https", "http") if takes_http else ("https",)
    if address.partition(":")[0].lower() not in schemes:
        raise FetchError(failures.INVALID_REQUEST, f"it does not begin with {' or '.join(schemes)}")
    try:
        origin, rest = split_url(address)
    except ValueError:
        raise FetchError(failures.INVALID_REQUEST, "it is no valid address") from None
    return origin, target_of(rest)


def _failure(address: str, reason: str) -> Failure:
    message = f"the media at {without_secrets(address)} cannot be fetched: {reason}"
    return Failure(failures.INVALID_REQUEST, message)
