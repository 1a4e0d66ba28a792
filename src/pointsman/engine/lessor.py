"""What the engine asks of control: more room in limits."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pointsman.domain.leases import Grant, Unable, Want


class Lender(Protocol):
    """The line to control."""

    def ask(self, wants: Sequence[Want], answered: Callable[[Sequence[Grant] | Unable], None]) -> None:
        """Ask for more. `answered` is called once, when the ledger knows of the grants."""
        ...
