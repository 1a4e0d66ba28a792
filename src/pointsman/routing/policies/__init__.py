"""Filters, a file each. A policy may object to a candidate, with a reason, but may not add one.

Each policy defines one function. The function determines the input of the policy, and so the lifetime of its verdict:

    static(item, operation, key, snapshot)     the configuration: while the snapshot is in force
    live(item, operation, key, view, now)      the present faults: until they change, for a moment at most
    check(item, facts, view, now)              the request: for that request alone

Most requests need nothing special. So beside `check` a policy may define `watch(candidates, snapshot)`. It returns a
cheap test for requests that the policy might object to, or `None` if there are none. Without it the policy checks every
request. The order of the files is the order of the policies. Static ones stand before the others, since a candidate
that they exclude needs no other check.
"""

from collections.abc import Callable, Sequence
from typing import cast

from pointsman.domain.calls import Call, Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.registry import modules
from pointsman.routing.view import Troubles, View

Static = Callable[[Candidate, Operation, VirtualKey | None, Snapshot], Reason | None]
Live = Callable[[Candidate, Operation, VirtualKey | None, Troubles, float], Reason | None]
Check = Callable[[Candidate, Facts, View, float], Reason | None]
Watch = Callable[[Call], bool]
Watching = Callable[[Sequence[Candidate], Snapshot], Watch | None]
KINDS = ("static", "live", "check")


def _asking(live: Live) -> Check:
    return lambda item, facts, view, now: live(item, facts.call.operation, facts.virtual_key, view, now)


def _always(candidates: Sequence[Candidate], snapshot: Snapshot) -> Watch:
    return lambda call: True


_FOUND = tuple(modules(__name__))
for _name, _module in _FOUND:
    if sum(hasattr(_module, kind) for kind in KINDS) != 1:
        raise TypeError(f"the policy {_name} must define exactly one of {', '.join(KINDS)}")
STATIC = tuple((name, cast("Static", module.static)) for name, module in _FOUND if hasattr(module, "static"))
LIVE = tuple((name, _asking(module.live)) for name, module in _FOUND if hasattr(module, "live"))
CHECKS = tuple((name, cast("Check", module.check)) for name, module in _FOUND if hasattr(module, "check"))
ON_REQUEST = tuple(sorted((*LIVE, *CHECKS)))
WATCHES = tuple(cast("Watching", getattr(module, "watch", _always)) for _, module in _FOUND if hasattr(module, "check"))
