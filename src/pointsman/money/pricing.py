"""The cost of tokens and of other units. Prices are pico-dollars, costs nano-dollars, rounded up once for each attempt.

A reservation is an upper bound: no token of text takes less than one byte of the request, so its size bounds the
prompt; `wire.tokens` bounds images, recordings and files.
"""

from pointsman.domain.calls import Call
from pointsman.domain.limits import Metric
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates
from pointsman.money.speech import most_spoken
from pointsman.money.terms import DEFAULT_OUTPUT, Terms
from pointsman.money.units import likely, most_pico, price_for, units_pico
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.tokens import most_in

WITH_OUTPUT = frozenset({"chat", "completion", "responses", "image", "audio"})
_LATER = frozenset({"batch", "other"})


def cost_nano(price: Price, usage: Usage) -> int:
    """Return the cost of `usage`. Parts of a sum are never charged twice, and never for more tokens than the sum
    has."""
    rates = _rates_for(price, usage)
    tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
    if (
        usage.tokens_cached
        or usage.tokens_cache_write
        or usage.tokens_cache_write_1h
        or usage.audio_in
        or usage.image_in
    ):
        parts = (
            (usage.tokens_cached, rates.cache_read),
            (usage.tokens_cache_write, rates.cache_write),
            (
                usage.tokens_cache_write_1h,
                rates.cache_write if rates.cache_write_1h is None else rates.cache_write_1h,
            ),
            (usage.audio_in, rates.audio_in),
            (usage.image_in, rates.image_in),
        )
        pico = _split(tokens_in, rates.input, parts)
    else:
        pico = tokens_in * rates.input
    if usage.tokens_reasoning or usage.audio_out or usage.image_out:
        outputs = (
            (usage.audio_out, rates.audio_out),
            (usage.image_out, rates.image_out),
            (usage.tokens_reasoning, rates.reasoning),
        )
        pico += _split(tokens_out, rates.output, outputs)
    else:
        pico += tokens_out * rates.output
    if usage.units is not None and price.units:
        pico += units_pico(price, usage.units)
    return -(-pico // 1000) + price.request_nano


def _split(total: int, plain: int, parts: tuple[tuple[int, int | None], ...]) -> int:
    """Return the pico-dollars of `total` tokens, some in classes with a rate of their own."""
    pico = 0
    for count, rate in parts:
        taken = min(count, total)
        total -= taken
        pico += taken * (plain if rate is None else rate)
    return pico + total * plain


def _rates_for(price: Price, usage: Usage) -> Rates:
    rates, above = price.rates, price.above
    if usage.tier is not None and usage.tier in price.tiers:
        rates, above = price.tiers[usage.tier], price.tiers_above.get(usage.tier, ())
    for start, higher in above:
        if usage.tokens_in >= start:
            rates = higher
    return rates


def upper_bound(terms: Terms, call: Call) -> tuple[int, int]:
    """Return the most that an attempt can cost, in nano-dollars, and the most tokens it can use."""
    tokens_in, tokens_out = most_in(call), 0
    if call.operation in WITH_OUTPUT:
        tokens_out = (call.max_tokens or most_output(terms, call)) * call.answers
    max_input_rate, max_output_rate = _max_rates(terms, call)
    pico = tokens_in * max_input_rate + tokens_out * max_output_rate
    if call.units is not None:
        pico += most_pico(terms.price, call)
    return -(-pico // 1000) + terms.request_nano, tokens_in + tokens_out


def is_priced(terms: Terms, call: Call) -> bool:
    """Return whether the price of a call is known."""
    return price_for(terms.price, call) is not None


def is_billed_later(call: Call, terms: Terms) -> bool:
    """Return whether the cost of a call is unknown until it is complete, as for a batch or a fine-tuning job."""
    price = terms.price
    return call.operation in _LATER and not (price is not None and (price.request_nano or price.is_by_request))


def _max_rates(terms: Terms, call: Call) -> tuple[int, int]:
    """Return the most that a token of input and of output can cost: in every tier, unless the request names its own."""
    if terms.by_tier and (tier := DIALECTS[call.head.dialect].service_tier(call)) is not None:
        found = terms.by_tier.get(tier)
        if found is not None:
            return found
    return terms.max_input_rate, terms.max_output_rate


def most_output(terms: Terms, call: Call) -> int:
    """Return the most tokens that each answer may have: as requested, else the provider's default for the operation,
    else the model's maximum. A text to be spoken bounds its answer too."""
    if call.operation == "audio" and (spoken := most_spoken(call)) is not None:
        return min(spoken, terms.output or DEFAULT_OUTPUT)
    if call.max_tokens is None and call.operation in terms.default_output:
        return terms.default_output[call.operation]
    return call.max_tokens or terms.output or DEFAULT_OUTPUT


def longest_answer(terms: Terms, call: Call, metric: Metric, room: int) -> int:
    """Return the most tokens that each answer may have for the upper bound to be within `room`, in units of `metric`.
    It is never more than wanted, and 0 if no length fits."""
    wanted = most_output(terms, call)
    tokens_in, answers = most_in(call), call.answers
    if metric == "tokens":
        left, each = room - tokens_in, answers
    elif metric == "usd":
        max_input_rate, max_output_rate = _max_rates(terms, call)
        left = (room - terms.request_nano) * 1000 - tokens_in * max_input_rate - most_pico(terms.price, call)
        each = answers * max_output_rate
    else:
        return 0
    if left < 0:
        return 0
    return min(wanted, left // each) if each else wanted


def counted_usage(call: Call, pieces: int) -> Usage:
    """Estimate the usage of a call whose provider reported none: about the tokens of its prompt, `pieces` tokens of an
    answer, and its likely units. Never zero."""
    dialect = DIALECTS[call.head.dialect]
    return Usage(
        min(max(1, dialect.prompt_tokens(call)), most_in(call)),
        pieces,
        tier=dialect.service_tier(call),
        units=likely(call.units) if call.units is not None else None,
    )
