"""Keys that the provider refused are left alone for a while; without another key the provider is asked last."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.health import block_on
from pointsman.routing.view import Troubles


def live(
    candidate: Candidate,
    operation: Operation,  # noqa: ARG001
    key: VirtualKey | None,  # noqa: ARG001
    troubles: Troubles,
    now: float,
) -> Reason | None:
    if not troubles.key_blocks or not candidate.keys:
        return None
    blocked = []
    for one in candidate.keys:
        block = block_on(troubles.key_blocks, candidate, one.name, now)
        if block is None:
            return None
        blocked.append((one.name, block))
    said = ", ".join(
        f"{name} ({block.failure.kind.code}, {max(block.until - now, 0.0):.1f} s left)" for name, block in blocked
    )
    message = f"every key of {candidate.endpoint.name} is blocked: {said}"
    until = min(block.until for _, block in blocked)
    return Reason("keys_blocked", message, is_last_resort=True, until=until)
