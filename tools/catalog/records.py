"""Records of tables: one model at one provider, and unfinished prices."""

from msgspec import Struct, field
from msgspec.structs import asdict

from pointsman.domain.prices import Price, Rates
from pointsman.domain.units import Unit, UnitPrice

CLASSES = Rates.__struct_fields__

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
    says that the table lists this very id, and not only a pattern that covers it."""

    context: int | None = None
    output: int | None = None
    modalities_in: tuple[str, ...] = ()
    modalities_out: tuple[str, ...] = ()
    capabilities: dict[str, bool] = field(default_factory=dict)
    deprecated_on: str | None = None
    price: Draft = field(default_factory=Draft)
    vouches: bool = True

    def plain(self) -> dict[str, object]:
        """Return the values other than prices and capabilities, by field."""
        fields = asdict(self)
        del fields["price"], fields["capabilities"], fields["vouches"]
        return {name: value for name, value in fields.items() if value not in (None, ())}


Table = dict[tuple[str, str], Record]  # by provider of the catalog and its name for the model
