"""A provider is usable only with a key that serves the model; keys the provider refused are left alone for a while."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.health import block_on
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    provider, blocks = candidate.endpoint.name, view.key_blocks
    if not candidate.keys:
        if _is_bound(facts, candidate):
            return None  # the policy on rights says so
        return Reason("no_key", f"no key of {provider} serves {candidate.model}")
    if not blocks:
        return None
    blocked = []
    for key in candidate.keys:
        block = block_on(blocks, candidate, key.name, now)
        if block is None:
            return None
        blocked.append((key.name, block))
    said = ", ".join(
        f"{name} ({block.failure.kind.code}, {max(block.until - now, 0.0):.1f} s left)" for name, block in blocked
    )
    until = min(block.until for _, block in blocked)
    return Reason("keys_blocked", f"every key of {provider} is blocked: {said}", is_last_resort=True, until=until)


def _is_bound(facts: Facts, candidate: Candidate) -> bool:
    """Whether the virtual key may use some of the provider's keys only."""
    entry = facts.virtual_key.entries.get(candidate.endpoint.name) if facts.virtual_key is not None else None
    return entry is not None and entry.keys is not None
