"""Spending before this gateway."""

from msgspec import Struct


class CarriedAmount(Struct, frozen=True):
    """Nano-dollars that an owner, such as `team:research`, has spent in the present window of its budget for `period`,
    the name of a `Period` such as `month` or `6h`."""

    owner: str
    period: str
    nano: int


class Carry(Struct, frozen=True, tag="carry"):
    """Answered by one `CarryOutcome`."""

    amounts: list[CarriedAmount]


class CarryOutcome(Struct, frozen=True):
    """The reasons for rejected amounts, by their place in the list. `problem` is the reason if none could be stored."""

    refused: dict[int, str]
    problem: str | None = None
