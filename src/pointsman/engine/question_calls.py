"""The call of a question: its request as a worker would parse it, at the place of the stored objects that it names."""

from collections.abc import Iterable, Mapping

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Record
from pointsman.engine.ownership import pinned
from pointsman.wire import PATHS
from pointsman.wire.heads import read_head
from pointsman.wire.json_object import rejection
from pointsman.wire.paths import PathTable

_TABLE = PathTable(PATHS)


def parse(path: str, headers: Mapping[str, str], body: bytes, snapshot: Snapshot) -> Call:
    """Parse a request into a call. Raises `Rejection`."""
    lines = {b"content-type": b"application/json"}
    for name, value in headers.items():
        lines[name.strip().lower().encode()] = value.strip().encode()
    head = read_head("POST", path, lines, _TABLE, snapshot)
    if head.api.parse is None:
        raise rejection("the gateway answers requests to this path itself, so they are not routed")
    return head.api.parse(head, body)


def located(call: Call, key: VirtualKey | None, records: Iterable[Record]) -> Call | Failure:
    """Return the call at the place of its objects, or the rejection if they belong to another owner. `records` are all
    that are known of them; without any, the call stays as it is."""
    found: dict[str, list[Record]] = {}
    for one in records:
        found.setdefault(one.id, []).append(one)
    return pinned(call, key, call.snapshot, found) if found else call
