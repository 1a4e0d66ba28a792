"""The cost of a batch: the most that its lines can cost together, reserved before it is requested, and the cost of each
line as its provider reports it.

Lines cost the rates of the tier `batch` in the price of their model. A price without such rates holds in full.
"""

from msgspec.structs import replace

from pointsman.domain.batches import BATCH, BatchWork, ModelWork
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Endpoint, candidate
from pointsman.money.pricing import WITH_OUTPUT, cost_nano, most_output, upper_bound
from pointsman.money.terms import Terms, known_terms, most_rates
from pointsman.wire.tokens import most_in


def priced(work: BatchWork, key: VirtualKey | None, endpoint: Endpoint, snapshot: Snapshot) -> BatchWork:
    """Return the work with the prices of `key` at a provider."""
    models = [
        replace(one, price=known_terms(key, candidate(endpoint, one.model), snapshot).price) for one in work.models
    ]
    return replace(work, models=tuple(models))


def with_line(work: ModelWork, terms: Terms, call: Call, most_nano: int) -> tuple[ModelWork, bool]:
    """Add a line to the work of its model. Return false too if nothing bounds its answer. `most_nano` is the most that
    the line can cost as a single request."""
    tokens_out, has_maximum = 0, True
    if call.operation in WITH_OUTPUT:
        tokens_out = (call.max_tokens or most_output(terms, call)) * call.answers
        has_maximum = call.max_tokens is not None
    fees = max(0, most_nano - upper_bound(terms, call)[0])
    added = replace(
        work,
        lines=work.lines + 1,
        tokens_in=work.tokens_in + most_in(call),
        tokens_out=work.tokens_out + tokens_out,
        fees_nano=work.fees_nano + fees,
    )
    return added, has_maximum


def unpriced(work: BatchWork) -> str | None:
    """Return the first model without a known price."""
    return next((one.model for one in work.models if one.price is None), None)


def most_of(work: BatchWork) -> tuple[int, int]:
    """Return the most that a batch can cost, in nano-dollars, and the most tokens that it can use."""
    return sum(map(_most_nano, work.models)), sum(one.tokens_in + one.tokens_out for one in work.models)


def _most_nano(one: ModelWork) -> int:
    price = one.price
    if price is None:
        return 0
    rate_in, rate_out = batch_rates(price)
    pico = one.tokens_in * rate_in + one.tokens_out * rate_out
    # The cost of each line is rounded up by itself.
    rounding = one.lines if pico else 0
    return -(-pico // 1000) + rounding + one.lines * price.request_nano + one.fees_nano


def batch_rates(price: Price) -> tuple[int, int]:
    """Return the most that a token of input and of output of a batch can cost, in pico-dollars."""
    tier = price.tiers.get(BATCH)
    if tier is None:
        return most_rates([price.rates, *(rates for _, rates in price.above)])
    return most_rates([tier, *(rates for _, rates in price.tiers_above.get(BATCH, ()))])


def line_nano(price: Price | None, usage: Usage) -> int:
    """Return the cost of one line, in nano-dollars."""
    return cost_nano(price, replace(usage, tier=BATCH)) if price is not None else 0


def model_of(work: BatchWork, answered: str) -> ModelWork:
    """Return the model that served a line. Providers answer with the name of a version, which begins with that of the
    model. If none fits, the dearest one counts."""
    fitting = [one for one in work.models if answered.startswith(one.model)]
    if fitting:
        return max(fitting, key=lambda one: len(one.model))
    return max(work.models, key=lambda one: sum(batch_rates(one.price)) if one.price is not None else 0)
