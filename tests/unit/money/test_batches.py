"""The reservation of a batch covers the cost of its lines, whatever they use of their bounds."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pointsman.domain.batches import BATCH, BatchWork, ModelWork, decode_work, encode_work
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates
from pointsman.money.batches import batch_rates, line_nano, model_of, most_of, unpriced

RATE = st.integers(0, 10_000_000)
RATES = st.builds(Rates, input=RATE, output=RATE, cache_read=st.none() | RATE, reasoning=st.none() | RATE)
ABOVE = st.lists(st.tuples(st.integers(1, 500), RATES), max_size=2).map(
    lambda found: tuple(sorted(found, key=lambda one: one[0]))
)
PRICE = st.builds(
    Price,
    rates=RATES,
    above=ABOVE,
    tiers=st.just({}) | RATES.map(lambda rates: {BATCH: rates, "priority": rates}),
    tiers_above=st.just({}) | ABOVE.map(lambda above: {BATCH: above}),
    request_nano=st.integers(0, 1000),
)
# The bounds of a line, and the parts of them that it uses.
LINE = st.tuples(st.integers(1, 1000), st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))


@given(price=PRICE, lines=st.lists(LINE, min_size=1, max_size=30))
def test_reservation_covers_every_outcome(price: Price, lines: list[tuple[int, int, float, float, float]]) -> None:
    most_in, most_out, cost, tokens = 0, 0, 0, 0
    for bound_in, bound_out, part_in, part_out, cached in lines:
        most_in, most_out = most_in + bound_in, most_out + bound_out
        used_in, used_out = int(bound_in * part_in), int(bound_out * part_out)
        usage = Usage(used_in, used_out, int(used_in * cached), int(used_out * cached))
        cost += line_nano(price, usage)
        tokens += used_in + used_out
    work = BatchWork(endpoint="/v1/x", models=(ModelWork("m", len(lines), most_in, most_out, 0, price),))
    nano, most_tokens = most_of(work)
    assert cost <= nano
    assert tokens <= most_tokens
    assert decode_work(encode_work(work)) == work


def test_price_without_a_batch_tier_holds_in_full() -> None:
    full = Price(Rates(input=1000, output=4000))
    half = replace(full, tiers={BATCH: Rates(input=500, output=2000)})
    usage = Usage(10, 10)
    assert (line_nano(full, usage), line_nano(half, usage)) == (50, 25)
    assert (batch_rates(full), batch_rates(half)) == ((1000, 4000), (500, 2000))
    assert line_nano(None, usage) == 0


def test_answered_model_is_found_by_its_beginning() -> None:
    cheap, dear = Price(Rates(input=1, output=1)), Price(Rates(input=9, output=9))
    names = {"gpt-4o": dear, "gpt-4o-mini": cheap}
    work = BatchWork(
        endpoint="/v1/x", models=tuple(ModelWork(name, 1, 1, 1, 0, price) for name, price in names.items())
    )
    assert model_of(work, "gpt-4o-mini-2024-07-18").model == "gpt-4o-mini"
    assert model_of(work, "gpt-4o-2024-08-06").model == "gpt-4o"
    assert model_of(work, "another").model == "gpt-4o", "the dearest one counts"
    assert unpriced(work) is None
    assert unpriced(BatchWork(endpoint="/v1/x", models=(ModelWork("m", 1, 1, 1),))) == "m"
