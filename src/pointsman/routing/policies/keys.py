"""A provider is usable only with a key that serves the model; keys the provider refused are left alone for a while."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:  # noqa: ARG001
    blocks = view.key_blocks
    for key in candidate.keys:
        block = blocks.get((candidate.endpoint.name, key.name)) if blocks else None
        if block is None or block.until <= now:
            return None
    return _reason(candidate, view, now)


def _reason(candidate: Candidate, view: View, now: float) -> Reason:
    provider = candidate.endpoint.name
    blocked = [(key.name, view.key_blocks[provider, key.name]) for key in candidate.keys]
    if not blocked:
        return Reason("no_key", f"no key of {provider} serves {candidate.model}")
    said = ", ".join(f"{name} ({block.failure.kind.code}, {block.until - now:.1f} s left)" for name, block in blocked)
    until = min(block.until for _, block in blocked)
    return Reason("keys_blocked", f"every key of {provider} is blocked: {said}", is_last_resort=True, until=until)
