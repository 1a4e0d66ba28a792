"""Costs that no provider reported."""

from msgspec import Struct


class Reconcile(Struct, frozen=True, tag="reconcile"):
    """Answered by one `ReconcileOutcome`. Nano-dollars by `attempt_id`."""

    amounts: dict[str, int]


class ReconcileOutcome(Struct, frozen=True):
    """The reasons for rejected attempts, by `attempt_id`; `problem` is the reason if none could be reconciled."""

    refused: dict[str, str]
    problem: str | None = None
