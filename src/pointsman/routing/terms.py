"""What an attempt costs and which limits it counts in: worked out once for each virtual key and candidate."""

from fnmatch import fnmatchcase

from msgspec import Struct

from pointsman.domain.limits import Limit
from pointsman.domain.prices import Price
from pointsman.domain.snapshots import PriceOverride, Snapshot, VirtualKey
from pointsman.domain.targets import Candidate


class Terms(Struct, frozen=True, eq=False):
    """`price` is `None` where it is not known. `output` is the most tokens an answer can have, where that is known.
    `has_budget` says that one of the limits is one of money, so that an unknown price refuses."""

    limits: tuple[Limit, ...]
    price: Price | None
    version: str
    output: int | None
    has_budget: bool
