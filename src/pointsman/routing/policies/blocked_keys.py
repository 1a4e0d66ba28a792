"""A key that the provider rejected is avoided for a while. A provider without another key is tried last."""

from math import inf

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.health import block_of
from pointsman.routing.view import PresentFaults

READS = "key_blocks"


def live(
    item: Candidate, operation: Operation, key: VirtualKey | None, view: PresentFaults, now: float
) -> Reason | None:
    if not item.keys:
        return None
    blocked = []
    for one in item.keys:
        block = block_of(view.key_blocks, item, one.name, now)
        if block is None:
            return None
        blocked.append((one.name, block))
    listed = ", ".join(
        f"{name} ({block.failure.kind.code}, {max(block.until - now, 0.0):.1f} s left)"
        if block.until < inf
        else f"{name} ({block.failure.kind.code})"
        for name, block in blocked
    )
    message = f"every key of {item.endpoint.name} is blocked: {listed}"
    until = min(block.until for _, block in blocked)
    return Reason("keys_blocked", message, is_last_resort=True, until=until)
