"""Records of tables: one model at one provider, and unfinished prices."""

from collections.abc import Iterable
from copy import deepcopy
from fractions import Fraction
from math import ceil

from msgspec import Struct, field

from pointsman.domain.prices import Price, Rates
from pointsman.domain.units import Unit, UnitPrice

CLASSES = Rates.__struct_fields__
_INPUT = ("cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in")
_OUTPUT = ("audio_out", "image_out", "reasoning")

FIELDS = ("context", "output", "modalities_in", "modalities_out", "deprecated_on")

Partial = dict[str, int]  # pico-dollars per token by class


class Draft(Struct):
    """A price as a table has it. `above` holds changes from a number of input tokens on, `tiers` changes by service
    tier, and `tiers_above` both. Missing values equal those in `rates`."""

    rates: Partial = field(default_factory=dict)
    above: dict[int, Partial] = field(default_factory=dict)
    tiers: dict[str, Partial] = field(default_factory=dict)
    tiers_above: dict[str, dict[int, Partial]] = field(default_factory=dict)
    request_nano: int = 0
    units: dict[Unit, tuple[UnitPrice, ...]] = field(default_factory=dict)
    is_free: bool = False

    @property
    def is_stated(self) -> bool:
        """True if the table has a price. A price of zero is more often a gap than a free model."""
        return self.is_free or bool(self.units) or self.has_tokens

    @property
    def has_tokens(self) -> bool:
        """True if the table has a price of tokens."""
        return "input" in self.rates and any(self.rates.values())

    def price(self) -> Price:
        if self.units and not self.has_tokens:
            return Price(Rates(input=0, output=0), units=self.units, only_units=True)
        rates = complete(self.rates)
        tiers = {tier: complete(self.rates | changes) for tier, changes in sorted(self.tiers.items())}
        tiers_above = {
            tier: _steps(self.rates | self.tiers.get(tier, {}), steps)
            for tier, steps in sorted(self.tiers_above.items())
        }
        return Price(rates, _steps(self.rates, self.above), tiers, self.request_nano, tiers_above)

    def copy(self) -> "Draft":
        return deepcopy(self)

    def move(self) -> None:
        """Let every rate move with the plain ones. A longer prompt that costs more costs more from the cache too. A
        tier that changes input and output by one factor changes all rates by it, at every length of the prompt."""
        full = dict(self.rates)
        longer: dict[int, Partial] = {}
        for start in sorted(self.above):
            _scale(full, self.above[start], _INPUT, ("input",))
            _scale(full, self.above[start], _OUTPUT, ("output",))
            full |= self.above[start]
            longer[start] = dict(full)
        for tier, changes in self.tiers.items():
            factor = _factor(self.rates, changes, ("input", "output"))
            if factor is None:
                continue
            _scale(self.rates, changes, CLASSES, ("input", "output"))
            for start, rates in longer.items():
                step = self.tiers_above.setdefault(tier, {}).setdefault(start, {})
                if not step:
                    step |= {name: _times(rates[name], factor) for name in ("input", "output") if name in rates}
                _scale(rates, step, CLASSES, ("input", "output"))

    def flat(self) -> dict[str, int]:
        """Return every rate under a flat name, such as `flex above 272000 output`."""
        found = dict(self.rates)
        for start, changes in self.above.items():
            found |= {f"above {start - 1} {name}": rate for name, rate in changes.items()}
        for tier, changes in self.tiers.items():
            found |= {f"{tier} {name}": rate for name, rate in changes.items()}
        for tier, steps in self.tiers_above.items():
            for start, changes in steps.items():
                found |= {f"{tier} above {start - 1} {name}": rate for name, rate in changes.items()}
        for unit, prices in self.units.items():
            found |= {" ".join(filter(None, (unit, one.quality, one.size))): one.pico for one in prices}
        return found


def _factor(base: Partial, changes: Partial, plain: tuple[str, ...]) -> Fraction | None:
    """Return the factor by which all plain rates change; `None` if they differ."""
    found = {Fraction(changes.get(name, base[name]), base[name]) for name in plain if base.get(name)}
    return found.pop() if len(found) == 1 else None


def _scale(base: Partial, changes: Partial, names: Iterable[str], plain: tuple[str, ...]) -> None:
    factor = _factor(base, changes, plain)
    if factor is not None and factor != 1:
        for name in names:
            if name in base and name not in changes:
                changes[name] = _times(base[name], factor)


def _times(rate: int, factor: Fraction) -> int:
    return ceil(rate * factor)


def complete(rates: Partial) -> Rates:
    return Rates(**{"output": 0, **rates})


def _steps(base: Partial, steps: dict[int, Partial]) -> tuple[tuple[int, Rates], ...]:
    found = []
    for start in sorted(steps):
        base |= steps[start]
        found.append((start, complete(base)))
    return tuple(found)


class Record(Struct):
    """One model at one provider in one table. An empty value or `None` means that the table has no value. `vouches`
    says that the table lists the id at this provider; the publisher's price at another provider does not say so.
    `title` is the name for people, `note` a remark, `page` the source of the price. `is_gone` says that the
    provider has removed the model, by the day `gone_by` at the latest. `is_announced` says that the retirement has a
    source. `is_shared` says that the price is the publisher's, at another provider. `earlier` has former plain
    rates."""

    context: int | None = None
    output: int | None = None
    modalities_in: tuple[str, ...] = ()
    modalities_out: tuple[str, ...] = ()
    capabilities: dict[str, bool] = field(default_factory=dict)
    deprecated_on: str | None = None
    price: Draft = field(default_factory=Draft)
    vouches: bool = True
    title: str = ""
    note: str = ""
    page: str = ""
    is_gone: bool = False
    gone_by: str = ""
    is_announced: bool = False
    is_shared: bool = False
    earlier: tuple[tuple[int, int], ...] = ()

    def plain(self) -> dict[str, object]:
        """Return the values other than prices and capabilities, by field."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) not in (None, ())}


Table = dict[tuple[str, str], Record]  # by provider of the catalog and its name for the model
