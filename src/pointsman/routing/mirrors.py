"""Mirrors: the requests that are copied to another model, and the copies.

A copy has a virtual key of its own, which has the rights of the client's key and the limits of the mirror. So a copy
reaches only providers that the client's key may use and that meet the requirements of its request, and the client's
limits never pay for it.

A request for which somebody chose the provider is not copied: its client by a header, or a rule by its targets.
"""

from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import GENERATING
from pointsman.domain.plans import Plan
from pointsman.domain.requirements import Requirements, merged
from pointsman.domain.snapshots import Mirror, Snapshot
from pointsman.routing.hedging import acts_once
from pointsman.routing.view import RandomSource

MAX_KEYS = 10_000
_OF_ONE_REQUEST = "idempotency-key"


def mirrored(plan: Plan, mirror: Mirror, call: Call, rng: RandomSource) -> Plan:
    """Return the plan, with its mirror if the request is one of those that are copied."""
    if (
        plan.pinned
        or call.operation not in GENERATING
        or call.head.provider is not None
        or rng.random() >= mirror.share
    ):
        return plan
    return replace(plan, mirror=mirror) if acts_once(call) else plan


def key_of_copies(mirror: Mirror, key: VirtualKey | None, snapshot: Snapshot) -> VirtualKey:
    """Return the virtual key of the copies of requests with `key`. It is one object as long as the snapshot, since
    terms are kept by it."""
    memo: dict[tuple[str, VirtualKey | None], VirtualKey] = snapshot.__dict__.setdefault("keys_of_copies", {})
    found = memo.get((mirror.name, key))
    if found is None:
        if len(memo) >= MAX_KEYS:
            memo.clear()
        found = memo[mirror.name, key] = _key(mirror, key)
    return found


def _key(mirror: Mirror, key: VirtualKey | None) -> VirtualKey:
    own = VirtualKey(name=f"mirror:{mirror.name}", digest=b"", limits=mirror.limits, near_limit="refuse")
    if key is None:
        return own
    entries = {provider: replace(entry, limits=(), weight=None) for provider, entry in key.entries.items()}
    return replace(own, labels=key.labels, entries=entries, require=key.require, provider_tools=key.provider_tools)


def copy_of(call: Call, mirror: Mirror, require: Requirements) -> Call:
    """Return the copy of a request that its plan served. `require` are the requirements of the plan."""
    head = replace(
        call.head,
        max_nano=None,
        timeout_s=None,
        require=merged(require, call.head.require),
        forwarded=tuple([one for one in call.head.forwarded if one[0].lower() != _OF_ONE_REQUEST]),
    )
    return replace(call, model=mirror.to, head=head, fallbacks=(), pin=None)
