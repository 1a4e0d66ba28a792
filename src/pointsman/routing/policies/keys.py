"""A provider is usable only with a key that serves the model; keys the provider refused are left alone for a while."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    blocks = view.key_blocks
    for key in candidate.keys:
        block = blocks.get((candidate.endpoint.name, key.name)) if blocks else None
        if block is None or block.until <= now:
            return None
    if not candidate.keys and _is_bound(facts, candidate):
        return None  # the policy on rights says so
    return _reason(candidate, view, now)


def _is_bound(facts: Facts, candidate: Candidate) -> bool:
    """Whether the virtual key may use some of the provider's keys only."""
    entry = facts.virtual_key.entries.get(candidate.endpoint.name) if facts.virtual_key is not None else None
    return entry is not None and entry.keys is not None


def _reason(candidate: Candidate, view: View, now: float) -> Reason:
    provider = candidate.endpoint.name
    blocked = [(key.name, view.key_blocks[provider, key.name]) for key in candidate.keys]
    if not blocked:
        return Reason("no_key", f"no key of {provider} serves {candidate.model}")
    said = ", ".join(f"{name} ({block.failure.kind.code}, {block.until - now:.1f} s left)" for name, block in blocked)
    until = min(block.until for _, block in blocked)
    return Reason("keys_blocked", f"every key of {provider} is blocked: {said}", is_last_resort=True, until=until)
