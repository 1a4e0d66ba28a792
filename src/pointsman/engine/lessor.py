"""What the engine asks of control: more room in limits."""

from collections.abc import Sequence
from typing import Protocol

from pointsman.domain.leases import Grant, Unable, Want
from pointsman.engine.tasks import Waiter


class Lender(Protocol):
    """The line to control."""

    def ask(self, wants: Sequence[Want]) -> Waiter[Sequence[Grant] | Unable]:
        """Ask for more. The ledger knows of the grants before the waiter is set."""
        ...
