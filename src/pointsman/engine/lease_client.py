"""The engine's interface to control: requests for more room in limits."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pointsman.domain.leases import Grant, LeaseRequest, LeaseUnavailable


class LeaseClient(Protocol):
    """The connection to control."""

    def ask(
        self, wants: Sequence[LeaseRequest], answered: Callable[[Sequence[Grant] | LeaseUnavailable], None]
    ) -> None:
        """Ask for more. `answered` is called once, after the ledger has the grants."""
        ...
