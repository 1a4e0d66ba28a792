"""Money from tokens: exact, rounded up once, and never more than was reserved."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from fakes.money import PLAIN, make_call, terms
from pointsman.domain.calls import Media
from pointsman.domain.limits import Metric
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates
from pointsman.money.pricing import (
    cost_nano,
    counted_usage,
    longest_answer,
    most_output,
    upper_bound,
)
from pointsman.money.terms import DEFAULT_OUTPUT
from pointsman.wire.tokens import TEMPLATE_TOKENS

RATES = Rates(
    input=1_000, output=10_000, cache_read=100, cache_write=2_000, cache_write_1h=4_000, audio_in=8_000,
    audio_out=90_000, image_in=16_000, image_out=70_000, reasoning=50_000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(8, 0), 8),
        (Usage(0, 3), 30),
        (Usage(10, 0, tokens_cached=4), 6 + 1),  # 6.4, rounded up
        (Usage(10, 0, tokens_cache_write=4), 6 + 8),
        (Usage(10, 0, tokens_cache_write_1h=4), 6 + 16),
        (Usage(10, 0, audio_in=4), 6 + 32),
        (Usage(10, 0, image_in=4), 6 + 64),
        (Usage(0, 10, tokens_reasoning=4), 60 + 200),
        (Usage(0, 10, audio_out=4), 60 + 360),
        (Usage(0, 10, image_out=4), 60 + 280),
        (Usage(10, 10, 1, 1, 1, 1, 1, 1, 1, 1), 5 + 1 + 2 + 4 + 8 + 16 + 7 * 10 + 50 + 90 + 70),
        (Usage(0, 0), 0),
        # Reported parts may exceed the whole: no token is charged twice.
        (Usage(3, 0, tokens_cached=5), 1),
        (Usage(4, 0, tokens_cached=3, audio_in=3), 1 + 8),
    ],
)
def test_each_class_of_tokens_has_its_price(usage: Usage, nano: int) -> None:
    assert cost_nano(Price(RATES), usage) == nano


def test_classes_without_a_price_cost_the_plain_rate() -> None:
    plain = Price(Rates(input=1_000, output=10_000))
    usage = Usage(10, 10, 2, 2, 2, 2, 2, 2, 2, 2)
    assert cost_nano(plain, usage) == cost_nano(plain, Usage(10, 10)) == 110
    free_cache = Price(Rates(input=1_000, output=10_000, cache_read=0))
    assert cost_nano(free_cache, Usage(10, 0, tokens_cached=10)) == 0, "a price of 0 is a known price"


def test_hour_cache_writes_without_a_price_cost_the_rate_of_other_writes() -> None:
    assert (
        cost_nano(Price(Rates(input=1_000, output=0, cache_write=2_000)), Usage(10, 0, tokens_cache_write_1h=4))
        == 6 + 8
    )


def test_cost_is_rounded_up_once() -> None:
    one_third = Price(Rates(input=333, output=333))
    assert cost_nano(one_third, Usage(1, 0)) == 1
    assert cost_nano(one_third, Usage(1, 1)) == 1
    assert cost_nano(one_third, Usage(3, 0)) == 1
    assert cost_nano(one_third, Usage(3, 1)) == 2
    assert cost_nano(Price(Rates(input=20_000, output=0)), Usage(8, 0)) == 160  # $0.02 per million: 0.16 micro-dollars


def test_tiers_and_thresholds_change_the_rates() -> None:
    price = Price(
        Rates(input=1_000, output=10_000),
        above=((100, Rates(input=2_000, output=20_000)), (1000, Rates(input=3_000, output=30_000))),
        tiers={"batch": Rates(input=500, output=5_000), "priority": Rates(input=4_000, output=40_000)},
        request_nano=7,
    )
    assert cost_nano(price, Usage(99, 1)) == 99 + 10 + 7
    assert cost_nano(price, Usage(100, 1)) == 200 + 20 + 7, "the higher rate covers the whole request"
    assert cost_nano(price, Usage(1000, 1)) == 3000 + 30 + 7
    assert cost_nano(price, Usage(100, 1, tier="batch")) == 50 + 5 + 7
    assert cost_nano(price, Usage(10, 1, tier="priority")) == 40 + 40 + 7
    assert cost_nano(price, Usage(10, 1, tier="default")) == 10 + 10 + 7
    stepped = replace(price, tiers_above={"batch": ((50, Rates(input=600, output=6_000)),)})
    assert cost_nano(stepped, Usage(49, 0, tier="batch")) == 25 + 7
    assert cost_nano(stepped, Usage(50, 0, tier="batch")) == 30 + 7
    assert cost_nano(stepped, Usage(100, 1, tier="priority")) == 400 + 40 + 7


# Properties.

RATE = st.integers(0, 100_000_000)
SOME_RATES = st.builds(
    Rates, **{name: st.none() | RATE for name in Rates.__struct_fields__} | {"input": RATE, "output": RATE}
)
THRESHOLDS = st.lists(st.tuples(st.integers(0, 100_000), SOME_RATES), max_size=2)


def _ascending(steps: list[tuple[int, Rates]]) -> tuple[tuple[int, Rates], ...]:
    return tuple(sorted(steps, key=lambda one: one[0]))


PRICES = st.builds(
    Price,
    SOME_RATES,
    THRESHOLDS.map(_ascending),
    st.dictionaries(st.sampled_from(("batch", "flex", "priority")), SOME_RATES, max_size=2),
    st.integers(0, 10**9),
    st.dictionaries(st.sampled_from(("batch", "flex")), THRESHOLDS.map(_ascending), max_size=2),
)
TIERS = st.none() | st.sampled_from(("batch", "flex", "priority", "default"))


@st.composite
def usages(draw: st.DrawFn, most_in: int, most_out: int) -> Usage:
    """Draw usages; reported parts may be larger than the whole."""
    inputs, outputs = st.integers(0, 2 * most_in), st.integers(0, 2 * most_out)
    return Usage(
        draw(st.integers(0, most_in)), draw(st.integers(0, most_out)), draw(inputs), draw(outputs), draw(inputs),
        draw(inputs), draw(inputs), draw(outputs), draw(inputs), draw(outputs), draw(TIERS),
    )  # fmt: skip


@given(
    PRICES,
    st.integers(0, 200_000),
    st.integers(1, 200_000),
    st.integers(1, 8),
    st.data(),
)
def test_usage_within_bounds_never_costs_more_than_the_upper_bound(
    price: Price, size: int, max_tokens: int, choices: int, data: st.DataObject
) -> None:
    nano, tokens = upper_bound(terms(price), make_call(size=size, max_tokens=max_tokens, choices=choices))
    usage = data.draw(usages(size + TEMPLATE_TOKENS, max_tokens * choices))
    assert cost_nano(price, usage) <= nano
    assert usage.tokens_in + usage.tokens_out <= tokens


@given(PRICES, usages(100_000, 100_000))
def test_cost_is_the_exact_sum_rounded_up(price: Price, usage: Usage) -> None:
    rates, steps = price.rates, price.above
    if usage.tier in price.tiers:
        rates, steps = price.tiers[usage.tier or ""], price.tiers_above.get(usage.tier or "", ())
    for start, higher in steps:
        rates = higher if usage.tokens_in >= start else rates
    each = asdict(rates)
    filled = {
        name: each["input" if name in _INPUTS else "output"] if each[name] is None else each[name] for name in each
    }
    if rates.cache_write_1h is None:
        filled["cache_write_1h"] = filled["cache_write"]
    read, written, kept = usage.tokens_cached, usage.tokens_cache_write, usage.tokens_cache_write_1h
    inputs = dict(zip(_INPUTS, (read, written, kept, usage.audio_in, usage.image_in), strict=True))
    outputs = {"audio_out": usage.audio_out, "image_out": usage.image_out, "reasoning": usage.tokens_reasoning}
    pico = 0
    for total, parts, plain in ((usage.tokens_in, inputs, "input"), (usage.tokens_out, outputs, "output")):
        rest = total
        for name, number in parts.items():
            pico += min(number, rest) * filled[name]
            rest -= min(number, rest)
        pico += rest * filled[plain]
    exact = Fraction(pico, 1000) + price.request_nano
    assert exact <= cost_nano(price, usage) < exact + 1


_INPUTS = ("cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in")


# Upper bounds.


def test_bound_counts_the_bytes_of_the_prompt_and_the_tokens_of_the_answer() -> None:
    assert upper_bound(terms(), make_call(size=488, max_tokens=100, choices=3)) == (1000 * 150 + 300 * 600, 1300)
    assert upper_bound(terms(), make_call(size=488)) == (1000 * 150 + DEFAULT_OUTPUT * 600, 1000 + DEFAULT_OUTPUT)
    assert upper_bound(terms(output=50), make_call(size=488)) == (1000 * 150 + 50 * 600, 1050)
    assert upper_bound(terms(output=50), make_call("embedding", size=488)) == (1000 * 150, 1000)
    assert upper_bound(terms(None), make_call(size=488, max_tokens=1)) == (0, 1001)


def test_media_count_by_tokens_instead_of_bytes() -> None:
    with_media = make_call(size=4_000_000, max_tokens=1, media=Media(2, 100_000, 3_999_900))
    assert upper_bound(terms(), with_media) == ((100_000 + 100 + TEMPLATE_TOKENS) * 150 + 600, 100_613)
    assert longest_answer(terms(), replace(with_media, max_tokens=99), "tokens", 100_632) == 20


def test_each_answer_is_charged() -> None:
    call = replace(make_call("completion", max_tokens=100, choices=2), answers=10)
    assert upper_bound(terms(), call)[1] == 100 + TEMPLATE_TOKENS + 10 * 100


def test_text_completion_without_a_bound_has_the_default_of_its_provider() -> None:
    bounded = replace(terms(output=500), default_output={"completion": 16})
    for call, tokens in (
        (make_call("completion"), 16),
        (make_call("completion", max_tokens=100), 100),
        (make_call("chat"), 500),
    ):
        assert most_output(bounded, call) == tokens
        assert upper_bound(bounded, call)[1] == 100 + TEMPLATE_TOKENS + tokens
        assert longest_answer(bounded, call, "tokens", 10**6) == tokens
    assert most_output(terms(output=500), make_call("completion")) == 500


@given(size=st.integers(0, 10**7), pieces=st.integers(0, 10**6))
@example(size=0, pieces=0)
def test_counted_usage_is_positive_and_within_the_bound(size: int, pieces: int) -> None:
    usage = counted_usage(make_call(size=size), pieces)
    assert usage.tokens_in >= 1
    assert usage.tokens_in <= size + TEMPLATE_TOKENS
    assert usage.tokens_out == pieces
    assert cost_nano(PLAIN, usage) > 0


# The longest answer.


@given(
    PRICES,
    st.integers(0, 100_000),
    st.none() | st.integers(1, 100_000),
    st.integers(1, 8),
    st.sampled_from(("chat", "completion", "responses")),
    st.tuples(st.sampled_from(("usd", "tokens")), st.integers(-1000, 10**15) | st.integers(-1000, 10**6)),
    st.none() | st.integers(1, 100_000),
)
def test_longest_answer_fits_exactly(
    price: Price,
    size: int,
    max_tokens: int | None,
    choices: int,
    operation: Operation,
    limit: tuple[Metric, int],
    output: int | None,
) -> None:
    metric, room = limit
    call = make_call(operation, size=size, max_tokens=max_tokens, choices=choices)
    bounded = terms(price, output=output)

    def bound(tokens: int) -> int:
        nano, used = upper_bound(bounded, replace(call, max_tokens=tokens))
        return nano if metric == "usd" else used

    longest = longest_answer(bounded, call, metric, room)
    wanted = max_tokens or output or DEFAULT_OUTPUT
    assert 0 <= longest <= wanted
    if longest:
        assert bound(longest) <= room
    if longest < wanted:
        assert bound(longest + 1) > room


def test_room_smaller_than_the_prompt_fits_no_answer() -> None:
    call = make_call(size=488, max_tokens=100)
    assert longest_answer(terms(), call, "usd", 1000 * 150) == 0
    assert longest_answer(terms(), call, "usd", 1000 * 150 + 599) == 0
    assert longest_answer(terms(), call, "usd", 1000 * 150 + 600) == 1
    assert longest_answer(terms(), call, "tokens", 1020) == 20
    assert longest_answer(terms(), call, "requests", 10**9) == 0, (
        "the length of an answer does not change the count of requests"
    )
    free = Price(Rates(input=150_000, output=0))
    assert longest_answer(terms(free), call, "usd", 1000 * 150) == 100
    assert longest_answer(terms(free), call, "usd", 1000 * 150 - 1) == 0
