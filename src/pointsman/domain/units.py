"""Units that providers charge for beside tokens, and their prices."""

from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

Unit: TypeAlias = Literal["image", "second", "character", "page", "search"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)


class Units(Struct, frozen=True, gc=False):
    """The units of a request, or of its answer, in thousandths: 1,500 `milli` of `second` are 1.5 seconds of a
    recording. A `search` is a query with up to 100 documents. A request's are an upper bound. If they may be fewer,
    `likely_milli` is an estimate; otherwise it is `None`. `quality` and `size` are those of images, such as `high` and
    `1024x1024`; empty if unknown."""

    unit: Unit
    milli: int
    likely_milli: int | None = None
    quality: str = ""
    size: str = ""

    @property
    def is_exact(self) -> bool:
        return self.likely_milli is None


class UnitPrice(Struct, frozen=True, omit_defaults=True):
    """The price of `per` units in pico-dollars. `quality` and `size` restrict it to such images; empty means any. Each
    request is charged for `least` units at least."""

    pico: int
    per: int = 1
    quality: str = ""
    size: str = ""
    least: int = 0
