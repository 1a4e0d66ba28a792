"""Filters of candidates, one in each file. A policy may object to a candidate, with a reason, but may not add one.

Each policy defines one function. The function determines the input of the policy, and so the lifetime of its verdict:

    static(item, asker)                        the configuration: while the snapshot is in force
    live(item, operation, key, view, now)      the present faults: until they change, for a moment at most
    check(item, facts, view, now)              the request: for that request alone

A live policy names the present faults that it reads in `READS`, an attribute of the view. While there are none, it is
not asked.

Most requests need nothing special. So beside `check` a policy may define `watch(candidates, asker)`. It returns a cheap
test for requests that the policy might object to, or `None` if there are none. Without it the policy checks every
request. If one of these tests is true, all policies but the static ones judge the request. They also do while a
candidate has no key with room for it (`quota`), or is at its limit while others are not (`concurrency`): see
`Judge.is_special`.

The order of the files is the order of the policies. Static ones come before the others, since a candidate that they
exclude needs no other check. The asker (`Asker`) is the part of a request that a candidate set depends on.
"""

from collections.abc import Callable, Sequence
from typing import cast

from msgspec import Struct

from pointsman.domain.calls import Call, Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.registry import modules
from pointsman.routing.view import PresentFaults, View


class Asker(Struct, frozen=True, eq=False):
    """The part of a request that the configuration judges: its operation and its virtual key, under a snapshot. The
    judgement is for `unix_s`, in Unix seconds. `directive` is from the rules that match it."""

    operation: Operation
    key: VirtualKey | None
    snapshot: Snapshot
    unix_s: float = 0.0
    directive: Directive | None = None


Static = Callable[[Candidate, Asker], Reason | None]
Live = Callable[[Candidate, Operation, VirtualKey | None, PresentFaults, float], Reason | None]
Check = Callable[[Candidate, Facts, View, float], Reason | None]
Watch = Callable[[Call], bool]
Watching = Callable[[Sequence[Candidate], Asker], Watch | None]
KINDS = ("static", "live", "check")


def _asking(live: Live) -> Check:
    return lambda item, facts, view, now: live(item, facts.call.operation, facts.virtual_key, view, now)


def _always(candidates: Sequence[Candidate], asker: Asker) -> Watch:
    return lambda call: True


_FOUND = tuple(modules(__name__))
for _name, _module in _FOUND:
    if sum(hasattr(_module, kind) for kind in KINDS) != 1:
        raise TypeError(f"the policy {_name} must define exactly one of {', '.join(KINDS)}")
STATIC = tuple((name, cast("Static", module.static)) for name, module in _FOUND if hasattr(module, "static"))
READS: dict[str, str] = {name: module.READS for name, module in _FOUND if hasattr(module, "live")}
LIVE = tuple((name, _asking(module.live)) for name, module in _FOUND if hasattr(module, "live"))
CHECKS = tuple((name, cast("Check", module.check)) for name, module in _FOUND if hasattr(module, "check"))
ON_REQUEST = tuple(sorted((*LIVE, *CHECKS)))
WATCHES = tuple(cast("Watching", getattr(module, "watch", _always)) for _, module in _FOUND if hasattr(module, "check"))
