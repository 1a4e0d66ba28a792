"""The engine's interface to control for leases of limits."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pointsman.domain.leases import Grant, LeaseRequest, LeaseUnavailable


class LeaseClient(Protocol):
    """The connection to control."""

    def ask(
        self, requests: Sequence[LeaseRequest], on_answer: Callable[[Sequence[Grant] | LeaseUnavailable], None]
    ) -> None:
        """Request leases. `on_answer` is called once, after the ledger has the grants."""
        ...
