"""The frames between a worker and control: a length of four bytes, big-endian, and a msgpack array with a tag.

Frames arrive in order, and a connection begins with `Hello` and `Welcome`. `domain.leases` describes leases.
"""

import msgspec
from msgspec import Struct

from pointsman.domain.audit import Actor
from pointsman.domain.holds import Hold
from pointsman.domain.leases import (
    Grant,
    Holding,
    LeaseRequest,
    LeaseUnavailable,
    Return,
    Share,
    UsedElsewhere,
    UsedHere,
)
from pointsman.domain.state import Change, Record

PROTOCOL = 1
MAX_FRAME = 64 * 1024 * 1024


# From a worker.


class Hello(Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """The identity of the caller, and every lease that it believes it holds."""

    protocol: int
    slot: int
    epoch: int
    pid: int
    journal: str  # the name of its folder of segments
    digest: str  # of the snapshot in force
    share: Share | None
    holdings: list[Holding]
    shares_usage: bool = False  # workers of older versions do not know `SharedUsage`
    shares_health: bool = False  # nor `HealthPeers`, `PeerHealth` and `Holds`
    takes_keys: bool = False  # nor `KeysChanged` and `KeyMade`


class Ask(Struct, frozen=True, array_like=True, tag=2):
    number: int
    requests: list[LeaseRequest]


class GiveBack(Struct, frozen=True, array_like=True, tag=3):
    """Amounts of leases that the worker returns, for example after a recall."""

    returns: list[Return]


class InForce(Struct, frozen=True, array_like=True, tag=4):
    """The snapshot with this digest is in force."""

    digest: str


class Draining(Struct, frozen=True, array_like=True, tag=5):
    """The worker takes no new requests and opens no more windows."""


class Metrics(Struct, frozen=True, array_like=True, tag=7):
    """The answer to `MetricsRequest`: a page as `telemetry.metrics` encodes it."""

    number: int
    page: bytes


class StateRequest(Struct, frozen=True, array_like=True, tag=8):
    """A question for the owners of the objects with these ids, and for the places that store them."""

    number: int
    ids: list[str]


class StateChanges(Struct, frozen=True, array_like=True, tag=9):
    """Changes that this worker has learned about objects stored at providers. The journal has them too."""

    changes: list[Change]


class Inquiry(Struct, frozen=True, array_like=True, tag=10):
    """A question or an order of the admin process, with no `Hello` before. `body` is one of `control.inquiries`.
    `actor` is the caller, for the audit log."""

    number: int
    body: bytes
    actor: Actor = Actor()


class WorkerUsage(Struct, frozen=True, array_like=True, tag=11):
    """Changes of the used amounts of limits. From now on this worker's decisions read the counters in `watch`, with
    their present windows, and no longer those in `drop`, which comes first. `used` are its own amounts."""

    watch: list[tuple[str, int]]
    drop: list[str]
    used: list[UsedHere]


class WorkerHealth(Struct, frozen=True, array_like=True, tag=12):
    """News about the health of providers, as `link.health` encodes them, for the worker with the epoch `to` or for all
    others."""

    news: bytes
    to: int | None = None


class KeysTaken(Struct, frozen=True, array_like=True, tag=13):
    """The answer to `KeysChanged`: no new request is served under the earlier state of these keys."""

    number: int


class MakeKey(Struct, frozen=True, array_like=True, tag=14):
    """A request for a child of a virtual key. `body` is the client's."""

    number: int
    parent: str
    body: bytes


# From control.


class Welcome(Struct, frozen=True, array_like=True, tag=17):
    protocol: int
    share: Share
    shares_usage: bool = False  # control of older versions does not know `WorkerUsage`


class Granted(Struct, frozen=True, array_like=True, tag=18):
    number: int
    grants: list[Grant]


class Recall(Struct, frozen=True, array_like=True, tag=19):
    """Other workers have no room in these windows: return unused amounts. Holds the counter and the window."""

    counters: list[tuple[str, int]]


class Reshare(Struct, frozen=True, array_like=True, tag=20):
    share: Share


class NewSnapshot(Struct, frozen=True, array_like=True, tag=21):
    """A new snapshot is in the file `path`."""

    path: str
    digest: str


class MetricsRequest(Struct, frozen=True, array_like=True, tag=22):
    number: int


class Heartbeat(Struct, frozen=True, array_like=True, tag=23):
    """Sent every second, to distinguish a stopped or stuck control process from an idle one."""


class CannotLease(Struct, frozen=True, array_like=True, tag=24):
    """The answer to an ask while control cannot grant leases, and will not within a moment."""

    number: int
    unable: LeaseUnavailable


class StateAnswer(Struct, frozen=True, array_like=True, tag=25):
    """All known records of the objects asked about, or the reason why they cannot be found."""

    number: int
    records: list[Record]
    unable: LeaseUnavailable | None = None


class Reply(Struct, frozen=True, array_like=True, tag=26):
    """A part of the answer to an `Inquiry`: an array of items. Control answers workers between the parts of a long
    answer. A `failure` ends the answer."""

    number: int
    items: bytes
    is_last: bool
    failure: str | None = None


class SharedUsage(Struct, frozen=True, array_like=True, tag=27):
    """Used amounts of limits, of the counters that this worker reads. From now on it should report its own amounts of
    the counters in `wanted`, and no longer of those in `unwanted`, which comes first."""

    wanted: list[str]
    unwanted: list[str]
    used: list[UsedElsewhere]


class HealthPeers(Struct, frozen=True, array_like=True, tag=28):
    """The rank of this worker among those that share their health; `None` if there is no other. If there is a
    `newcomer`, the worker should send it all that it knows."""

    rank: int | None
    newcomer: int | None = None


class PeerHealth(Struct, frozen=True, array_like=True, tag=29):
    """News of another worker about the health of providers."""

    news: bytes


class Holds(Struct, frozen=True, array_like=True, tag=30):
    """All orders of operators that are in force."""

    holds: list[Hold]


class KeysChanged(Struct, frozen=True, array_like=True, tag=31):
    """Virtual keys in the file of keys made by API were changed or removed: those with these digests, or all if there
    is `None`. `limited` are the names of keys whose limits have changed."""

    number: int
    digests: list[bytes] | None
    limited: list[str] = []


class KeyMade(Struct, frozen=True, array_like=True, tag=32):
    """The answer to `MakeKey`: the client's answer, or the reason why there is no key. `code` is that of a failure."""

    number: int
    body: bytes = b""
    code: str = ""
    message: str = ""
    param: str | None = None


FromWorker = (
    Hello
    | Ask
    | GiveBack
    | InForce
    | Draining
    | Metrics
    | StateRequest
    | StateChanges
    | Inquiry
    | WorkerUsage
    | WorkerHealth
    | KeysTaken
    | MakeKey
)
FromControl = (
    Welcome
    | Granted
    | Recall
    | Reshare
    | NewSnapshot
    | MetricsRequest
    | Heartbeat
    | CannotLease
    | StateAnswer
    | Reply
    | SharedUsage
    | HealthPeers
    | PeerHealth
    | Holds
    | KeysChanged
    | KeyMade
)

_ENCODER = msgspec.msgpack.Encoder()
FROM_WORKER = msgspec.msgpack.Decoder(FromWorker)
FROM_CONTROL = msgspec.msgpack.Decoder(FromControl)


def encode(frame: FromWorker | FromControl) -> bytes:
    """Return the frame with its length in front."""
    body = _ENCODER.encode(frame)
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames. Raises `ValueError` for a frame over `MAX_FRAME`."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(buffer) - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "big")
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME} bytes")
            if len(buffer) - start - 4 < length:
                break
            bodies.append(bytes(buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        del buffer[:start]
        return bodies
