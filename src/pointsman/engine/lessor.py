"""The engine's interface to control: requests for more room in limits."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pointsman.domain.leases import Grant, Unable, Want


class Lender(Protocol):
    """The connection to control."""

    def ask(self, wants: Sequence[Want], answered: Callable[[Sequence[Grant] | Unable], None]) -> None:
        """Ask for more. `answered` is called once, after the ledger has the grants."""
        ...
