"""The compiled configuration: immutable, swapped whole; a request keeps the one it began with."""

from msgspec import Struct

from pointsman.domain.targets import Candidate, Endpoint


class Timeouts(Struct, frozen=True):
    """Seconds. `commit_s` bounds a request until its answer commits, `stall_s` the silence inside a committed
    stream, `stream_s` a committed stream as a whole, `queue_s` the wait for a quota to free."""

    connect_s: float = 5.0
    commit_s: float = 600.0
    stall_s: float = 60.0
    stream_s: float = 3600.0
    queue_s: float = 5.0


class PublicModel(Struct, frozen=True, eq=False):
    """A public name: what it stands for, in order of mention. `strategy` is `None` where `routing` decides."""

    name: str
    targets: tuple[Candidate, ...]
    fallbacks: tuple[Candidate, ...] = ()
    strategy: str | None = None


class Routing(Struct, frozen=True):
    """The defaults of every plan. `commit_buffer` is in bytes."""

    strategy: str = "priority"
    max_attempts: int = 5
    timeouts: Timeouts = Timeouts()
    commit_buffer: int = 8 * 1024 * 1024


class VirtualKey(Struct, frozen=True):
    """A key of the gateway's own. `digest` is the SHA-256 of its value; the value itself is not kept."""

    name: str
    digest: bytes


class Snapshot(Struct, frozen=True):
    """Everything the data plane knows of the configuration. `digest` identifies it in logs and in `/readyz`."""

    digest: str
    endpoints: dict[str, Endpoint]
    models: dict[str, PublicModel]
    virtual_keys: dict[bytes, VirtualKey]  # by digest
    require_key: bool = True
    routing: Routing = Routing()
    key_headers: tuple[str, ...] = ("authorization", "x-api-key", "x-goog-api-key")
