"""The frames between a worker and control: a length of four bytes, big-endian, and a msgpack array with a tag.

Frames arrive in order, and a connection begins with `Hello` and `Welcome`. What leases are is in
`domain.leases`.
"""

import msgspec
from msgspec import Struct

from pointsman.domain.leases import Grant, Holding, Return, Share, Unable, Want
from pointsman.domain.state import Change, Record

PROTOCOL = 1
MAX_FRAME = 64 * 1024 * 1024


# From a worker.


class Hello(Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """Who is calling, and every lease it believes to have."""

    protocol: int
    slot: int
    epoch: int
    pid: int
    journal: str  # the name of its folder of segments
    digest: str  # of the snapshot in force
    share: Share | None
    holdings: list[Holding]


class Ask(Struct, frozen=True, array_like=True, tag=2):
    number: int
    wants: list[Want]


class GiveBack(Struct, frozen=True, array_like=True, tag=3):
    """What is not needed: the answer to a recall."""

    returns: list[Return]


class InForce(Struct, frozen=True, array_like=True, tag=4):
    """The snapshot with this digest is in force."""

    digest: str


class Draining(Struct, frozen=True, array_like=True, tag=5):
    """No new requests are taken; no window will be opened any more."""


class Metrics(Struct, frozen=True, array_like=True, tag=7):
    """The answer to `MetricsAsk`: a page as `telemetry.metrics` encodes it."""

    number: int
    page: bytes


class StateAsk(Struct, frozen=True, array_like=True, tag=8):
    """Who owns the things with these ids, and where are they kept?"""

    number: int
    ids: list[str]


class StateTold(Struct, frozen=True, array_like=True, tag=9):
    """What this worker has learned of things that providers keep. It is in the journal too."""

    changes: list[Change]


class Inquiry(Struct, frozen=True, array_like=True, tag=10):
    """A question or an order of the admin process, with no `Hello` before. `body` is one of `control.inquiries`."""

    number: int
    body: bytes


# From control.


class Welcome(Struct, frozen=True, array_like=True, tag=17):
    protocol: int
    share: Share


class Granted(Struct, frozen=True, array_like=True, tag=18):
    number: int
    grants: list[Grant]


class Recall(Struct, frozen=True, array_like=True, tag=19):
    """Others are short of these: give back what is idle. Holds the counter and the window."""

    counters: list[tuple[str, int]]


class Reshare(Struct, frozen=True, array_like=True, tag=20):
    share: Share


class NewSnapshot(Struct, frozen=True, array_like=True, tag=21):
    """There is a new snapshot in the file `path`."""

    path: str
    digest: str


class MetricsAsk(Struct, frozen=True, array_like=True, tag=22):
    number: int


class Beat(Struct, frozen=True, array_like=True, tag=23):
    """Sent every second: a control process that is stopped or stuck looks like one that has nothing to say."""


class CannotLend(Struct, frozen=True, array_like=True, tag=24):
    """The answer to an ask while control cannot lend, and will not in a moment."""

    number: int
    unable: Unable


class StateAnswer(Struct, frozen=True, array_like=True, tag=25):
    """All that is known of the things that were asked about; or why that cannot be found out."""

    number: int
    records: list[Record]
    unable: Unable | None = None


class Reply(Struct, frozen=True, array_like=True, tag=26):
    """A part of the answer to an `Inquiry`: an array of items. Control answers workers between the parts of a long
    answer. A `failure` ends the answer."""

    number: int
    items: bytes
    is_last: bool
    failure: str | None = None


FromWorker = Hello | Ask | GiveBack | InForce | Draining | Metrics | StateAsk | StateTold | Inquiry
FromControl = Welcome | Granted | Recall | Reshare | NewSnapshot | MetricsAsk | Beat | CannotLend | StateAnswer | Reply

_ENCODER = msgspec.msgpack.Encoder()
FROM_WORKER = msgspec.msgpack.Decoder(FromWorker)
FROM_CONTROL = msgspec.msgpack.Decoder(FromControl)


def encode(frame: FromWorker | FromControl) -> bytes:
    """The frame with its length in front."""
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
                raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
            if len(buffer) - start - 4 < length:
                break
            bodies.append(bytes(buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        del buffer[:start]
        return bodies
