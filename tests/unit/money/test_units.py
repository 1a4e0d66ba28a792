"""The cost of units beside tokens. A reservation covers every charge for the request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.wire import CHAT, parse
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates
from pointsman.domain.units import UnitPrice, Units
from pointsman.money.charges import with_units
from pointsman.money.pricing import cost_nano
from pointsman.money.units import most_pico, price_for, units_pico, used_units

FREE = Rates(input=0, output=0)
QUALITIES, SIZES = ("", "low", "high"), ("", "1024x1024", "1536x1024")


def price(*prices: UnitPrice, unit: str = "image") -> Price:
    return Price(FREE, units={unit: prices}, only_units=True)  # type: ignore[dict-item]


BY_KIND = price(
    UnitPrice(5, quality="low"),
    UnitPrice(20, quality="high"),
    UnitPrice(50, quality="high", size="1536x1024"),
)


@pytest.mark.parametrize(
    ("quality", "size", "pico"),
    [("low", "1024x1024", 5), ("high", "1024x1024", 20), ("high", "1536x1024", 50), ("high", "", 50), ("", "", 50)],
)
def test_image_costs_by_the_closest_price_else_the_dearest(quality: str, size: str, pico: int) -> None:
    call = parse({"model": "m", "n": 2, "quality": quality, "size": size}, "/images/generations")
    assert most_pico(BY_KIND, call) == 2 * pico


def test_image_of_an_unlisted_quality_has_no_price() -> None:
    call = parse({"model": "m", "quality": "ultra"}, "/images/generations")
    assert price_for(BY_KIND, call) is None


def test_price_for_units_covers_only_requests_for_them() -> None:
    by_character = price(UnitPrice(15_000_000), unit="character")
    speech = parse({"model": "m", "input": "Hi"}, "/audio/speech")
    chat = parse(CHAT)
    assert price_for(by_character, speech) is by_character
    assert price_for(by_character, chat) is None
    assert price_for(replace(by_character, only_units=False), chat) is not None
    assert most_pico(by_character, speech) == 30_000_000


def test_price_of_a_minute_is_exact_by_the_millisecond() -> None:
    minute = price(UnitPrice(6_000_000_000, per=60), unit="second")
    assert units_pico(minute, Units("second", 60_000)) == 6_000_000_000
    assert units_pico(minute, Units("second", 1)) == 100_000
    assert cost_nano(minute, Usage(units=Units("second", 1_500))) == 150_000


def test_short_recording_costs_as_much_as_the_least() -> None:
    least = price(UnitPrice(1_000, least=10), unit="second")
    assert units_pico(least, Units("second", 2_000)) == 10_000
    assert units_pico(least, Units("second", 12_000)) == 12_000


def test_reported_units_replace_those_of_the_request() -> None:
    call = parse({"model": "m", "n": 3, "quality": "high", "size": "1024x1024"}, "/images/generations")
    reported = with_units(BY_KIND, None, Units("image", 2_000, size="1536x1024"))
    assert reported is not None
    assert used_units(BY_KIND, call, reported).units == Units("image", 2_000, None, "high", "1536x1024")
    assert used_units(BY_KIND, call, Usage()).units == Units("image", 3_000, None, "high", "1024x1024")
    assert with_units(price(unit="second"), None, Units("image", 1)) is None


KINDS = st.builds(
    UnitPrice,
    pico=st.integers(0, 10**12),
    per=st.sampled_from([1, 60]),
    quality=st.sampled_from(QUALITIES),
    size=st.sampled_from(SIZES),
    least=st.integers(0, 3),
)


@given(
    prices=st.lists(KINDS, min_size=1, max_size=6, unique_by=lambda one: (one.quality, one.size)),
    quality=st.sampled_from(QUALITIES),
    size=st.sampled_from(SIZES),
    drawn=st.tuples(st.sampled_from(QUALITIES), st.sampled_from(SIZES)),
    n=st.integers(1, 8),
    fewer=st.integers(0, 8),
)
def test_charge_is_within_the_reservation(
    prices: list[UnitPrice], quality: str, size: str, drawn: tuple[str, str], n: int, fewer: int
) -> None:
    """The provider chooses the quality and size that the request leaves open. It draws no more images than requested,
    and may report neither."""
    call = parse({"model": "m", "n": n, "quality": quality, "size": size}, "/images/generations")
    whole = price(*prices)
    if price_for(whole, call) is None:
        return
    answer = Units("image", max(n - fewer, 0) * 1000, None, quality or drawn[0], size or drawn[1])
    for reported in (answer, replace(answer, quality="", size=""), replace(answer, size=""), None):
        usage = used_units(whole, call, Usage(units=reported))
        assert cost_nano(whole, usage) <= -(-most_pico(whole, call) // 1000)
