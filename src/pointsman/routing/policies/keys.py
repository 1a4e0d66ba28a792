"""A provider is usable only with a key that serves the model; keys the provider refused are left alone for a while."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:  # noqa: ARG001
    provider = candidate.endpoint.name
    blocks = view.key_blocks
    until = None
    blocked: list[str] = []
    for key in candidate.keys:
        if key.weight <= 0:
            continue
        block = blocks.get((provider, key.name)) if blocks else None
        if block is None or block.until <= now:
            return None
        blocked.append(f"{key.name} ({block.failure.kind.code}, {block.until - now:.1f} s left)")
        until = block.until if until is None else min(until, block.until)
    if not blocked:
        return Reason("no_key", f"no key of {provider} serves {candidate.model}")
    message = f"every key of {provider} is blocked: {', '.join(blocked)}"
    return Reason("keys_blocked", message, is_last_resort=True, until=until)
