"""The cost of units beside tokens: images, seconds of a recording, characters, pages and searches.

A reservation takes the dearest price that the request may have to pay. The charge is for the units that the answer
reports, else for those of the request. So it is never above the reservation, unless a provider charges for more than
was requested.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price
from pointsman.domain.units import UnitPrice, Units


def price_for(price: Price | None, call: Call) -> Price | None:
    """Return the price if it covers the call. A price for units alone covers only requests for these units."""
    if price is None or not price.only_units:
        return price
    units = call.units
    return price if units is not None and _fitting(price, units) else None


def most_pico(price: Price | None, call: Call) -> int:
    """Return the most that the units of a call can cost, in pico-dollars."""
    units = call.units
    if price is None or units is None or not price.units:
        return 0
    fitting = _fitting(price, units)
    if units.quality and units.size:
        fitting = _closest(fitting, units)
    return max((_cost(one, units.milli) for one in fitting), default=0)


def units_pico(price: Price, units: Units) -> int:
    """Return the cost of used units, in pico-dollars."""
    closest = _closest(_fitting(price, units), units)
    return max((_cost(one, units.milli) for one in closest), default=0)


def used_units(price: Price, call: Call, usage: Usage) -> Usage:
    """Return the usage with the units that are charged: as reported, else the likely ones of the request."""
    units = call.units
    if units is None or units.unit not in price.units:
        return usage
    found = usage.units
    if found is not None and found.unit == units.unit:
        return replace(
            usage, units=replace(found, quality=found.quality or units.quality, size=found.size or units.size)
        )
    return replace(usage, units=likely(units))


def likely(units: Units) -> Units:
    """Return the estimate of a request's units."""
    return units if units.likely_milli is None else replace(units, milli=units.likely_milli)


def _fitting(price: Price, units: Units) -> list[UnitPrice]:
    """Return the prices that the units may have, as far as their quality and size are known."""
    return [
        one
        for one in price.units.get(units.unit, ())
        if (not one.quality or not units.quality or one.quality == units.quality)
        and (not one.size or not units.size or one.size == units.size)
    ]


def _closest(fitting: Sequence[UnitPrice], units: Units) -> list[UnitPrice]:
    """Return the prices that agree in most of the known properties."""
    agreed = [_agreement(one, units) for one in fitting]
    most = max(agreed, default=0)
    return [one for one, count in zip(fitting, agreed, strict=True) if count == most]


def _agreement(price: UnitPrice, units: Units) -> int:
    return (price.quality != "" and price.quality == units.quality) + (price.size != "" and price.size == units.size)


def _cost(price: UnitPrice, milli: int) -> int:
    return -(-max(milli, price.least * 1000) * price.pico // (1000 * price.per))
