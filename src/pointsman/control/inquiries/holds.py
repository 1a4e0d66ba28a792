"""The orders of operators."""

from typing import Literal

from msgspec import Struct

from pointsman.domain.holds import Hold


class PlaceHold(Struct, frozen=True, tag="place_hold"):
    """Answered by one `HoldOutcome`."""

    hold: Hold


class ReleaseHold(Struct, frozen=True, tag="release_hold"):
    """Answered by one `HoldOutcome`."""

    name: str


class HoldOutcome(Struct, frozen=True):
    """The end of an order: `problem` is the reason if it is not in force. `code` is `not_found` if nothing has its
    name, and `too_many_holds` if others must be released first. Otherwise the store is at fault."""

    problem: str | None = None
    code: Literal["", "not_found", "too_many_holds"] = ""
