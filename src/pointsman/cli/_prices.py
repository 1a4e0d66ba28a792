"""Words for the prices of models, in tables and messages."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointsman.domain.prices import ModelFacts, Price
    from pointsman.domain.units import UnitPrice


def usd(pico: int | None) -> str:
    """Return a price per token, in pico-dollars, as dollars per million tokens."""
    return f"{pico / 1e6:g}" if pico is not None else ""


def usd_of(price: Price | None, *rates: str) -> list[str]:
    """Return some rates of tokens, such as `input`, as dollars per million tokens; empty texts if there are none."""
    return [usd(getattr(price.rates, rate)) if price is not None and not price.only_units else "" for rate in rates]


def is_free(price: Price | None) -> bool:
    """Return whether a price is known to be nothing."""
    from pointsman.catalog.diff import flat

    return price is not None and not price.only_units and not any(flat(price).values())


def note_on(price: Price | None, facts: ModelFacts | None) -> str:
    """Return what the prices of tokens do not tell: prices of other units, `free`, or why there is no price."""
    if price is None:
        reason = facts.unpriced if facts is not None else "the catalog does not know this model"
        return f"no price: {reason or 'no source has one'}"
    if is_free(price):
        return "free"
    return ", ".join(f"{unit} {span(prices)}" for unit, prices in price.units.items())


def described(facts: ModelFacts) -> str:
    """Return the price of a model in a few words, or the reason why it has none."""
    price = facts.price
    if price is None:
        return facts.unpriced or "no price is known"
    if is_free(price):
        return "free"
    words = (
        [] if price.only_units else [f"${usd(price.rates.input)} in, ${usd(price.rates.output)} out per million tokens"]
    )
    words += [f"${span(prices)} per {unit}" for unit, prices in price.units.items()]
    return ", ".join(words)


def span(prices: Sequence[UnitPrice]) -> str:
    """Return the lowest and the highest price of a unit, in dollars."""
    amounts = sorted({one.pico / one.per / 1e12 for one in prices})
    return "-".join(f"{amount:g}" for amount in dict.fromkeys((amounts[0], amounts[-1])))


def age(day: str | None, today: date) -> str:
    """Return the age of a price, such as `3 d` or `5 months`; empty if its day is unknown."""
    if day is None:
        return ""
    days = max(0, (today - date.fromisoformat(day)).days)
    return f"{days} d" if days < 60 else f"{days // 30} months"
