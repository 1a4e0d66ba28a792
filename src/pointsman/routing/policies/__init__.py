"""Filters, a file each: `check(candidate, facts, view, now) -> Reason | None`.

A policy refuses a candidate with a stated reason; none may add one. The order of the files is the order of the
checks, and the first reason stands. While a view shows nothing wrong, a check of a call that asks for nothing special
looks at the candidate and the call's operation alone, so that what it says can be kept; `routing.needs` tells when a
call asks for more.
"""

from collections.abc import Callable
from typing import cast

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.registry import members
from pointsman.routing.view import View

Check = Callable[[Candidate, Facts, View, float], Reason | None]

POLICIES: tuple[tuple[str, Check], ...] = tuple(
    (name, cast("Check", check)) for name, check in members(__name__, "check")
)
