"""The cost of an attempt when it is over: as its provider reported it, else an estimate.

An estimate covers the counted tokens of the prompt, and the part of the answer that arrived or the usual length of such
answers. It uses the price of the request's own service tier. Limits may hold more than the estimate until the attempt
is reconciled or their window ends. If nothing of an answer arrived, its provider's charge is unknown, and may be the
whole reservation. A request costs nothing if the provider rejected it, reported a failure, or never received it whole.
docs/decisions/0016 has the cases.
"""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.operations import GENERATING
from pointsman.domain.outcomes import Usage, UsageSource
from pointsman.domain.prices import Price
from pointsman.domain.units import Units
from pointsman.money.pricing import WITH_OUTPUT, cost_nano, counted_usage
from pointsman.money.provider_tools import tools_nano
from pointsman.money.speech import Spoken, spoken
from pointsman.money.terms import Terms
from pointsman.money.units import price_for, used_units
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.tokens import BYTES_PER_TOKEN
from pointsman.wire.unbounded import Unbounded

_NO_USAGE = Usage()

# Failures after which the provider may have gone on with a request that it had received: the gateway disconnected, or
# the answer did not arrive, or not to its end.
_LEFT_OPEN = frozenset(
    {
        failures.COMMIT_TIMEOUT,
        failures.STALLED,
        failures.STREAM_TOO_LONG,
        failures.DEADLINE_EXCEEDED,
        failures.CLIENT_GONE,
        failures.SUPERSEDED,
        failures.SHUTTING_DOWN,
        failures.INTERNAL,
        failures.TRUNCATED,
        failures.CONNECTION_LOST,
        failures.CONNECTION_STALE,
    }
)
_GOES_ON = _LEFT_OPEN | {failures.MALFORMED_ANSWER}  # failures that a provider may not notice
_NOTHING, _PROMPT, _ARRIVED, _ALL = "none", "prompt", "arrived", "full"  # the part of an attempt that may be charged
_TEXT = frozenset({"chat", "completion"})
USUAL_ANSWER = 500  # tokens: the assumed length of an answer of a model that has given none yet
MOST_SEEN = 16
_WEIGHT = 1 / MOST_SEEN  # of the newest answer in the mean


class Bound(Struct, frozen=True, gc=False):
    """The reservation of an attempt, in nano-dollars and tokens: zero if the call is free. `unbounded` is the part of
    its cost that the bytes of the call do not bound."""

    nano: int
    tokens: int
    unbounded: Unbounded | None = None


class Charge(Struct, frozen=True, gc=False):
    """The cost of an attempt: `nano` in nano-dollars. The attempt may have cost up to `held_nano` more. Budgets count
    both amounts, and limits of tokens count `tokens`, until the attempt is reconciled or their windows end."""

    nano: int
    tokens: int
    source: UsageSource
    usage: Usage = _NO_USAGE
    is_priced: bool = True
    held_nano: int = 0


class Answers:
    """The usual answers of a model, as their provider reported them: means in which new answers count more. `mean` is
    the length of an answer in tokens, `None` before the first. `cached` and `written` are the shares of a prompt that
    were read from the provider's cache and written to it. `count` is the number of requests in the means, at most
    `MOST_SEEN`."""

    __slots__ = ("cached", "count", "mean", "written")

    def __init__(self) -> None:
        self.mean: float | None = None
        self.count = 0
        self.cached = self.written = 0.0

    def add(self, usage: Usage, answers: int = 1) -> None:
        """Include the usage of a request whose answers are complete."""
        mean, each = self.mean, usage.tokens_out / answers if answers > 1 else usage.tokens_out
        self.mean = float(each) if mean is None else mean + (each - mean) * _WEIGHT
        if self.count < MOST_SEEN:
            self.count += 1
        written = usage.tokens_cache_write + usage.tokens_cache_write_1h
        if usage.tokens_cached or written or self.cached or self.written:
            total, weight = max(usage.tokens_in, 1), 1.0 if mean is None else _WEIGHT
            self.cached += (min(usage.tokens_cached / total, 1.0) - self.cached) * weight
            self.written += (min(written / total, 1.0) - self.written) * weight

    def expected(self, call: Call) -> int | None:
        """Return the expected tokens of the answers to this call; `None` if unknown."""
        if call.operation not in WITH_OUTPUT:
            return 0
        if self.mean is None and call.operation not in GENERATING:
            return None
        tokens = round((USUAL_ANSWER if self.mean is None else self.mean) * call.answers)
        return tokens if call.max_tokens is None else min(tokens, call.max_tokens * call.answers)


class Tariff(Struct, frozen=True, eq=False):
    """The basis of charges for a virtual key at a candidate. `unfinished` is the endpoint's `bills_unfinished`, and
    `answers` are those of the model so far."""

    terms: Terms
    unfinished: str | None
    answers: Answers


class Arrived(Struct, frozen=True, kw_only=True, gc=False):
    """The part of an answer that arrived without a report of its tokens. `was_sent` is true if the provider got the
    whole request. `is_counted` is true if `events` is the number of tokens that came. `is_announced` is true if the
    head promised an answer of the kind that providers give."""

    events: int
    bytes_in: int
    status: int | None
    was_sent: bool
    is_counted: bool
    is_announced: bool


FREE = Charge(0, 0, "none")


def with_units(price: Price | None, usage: Usage | None, units: Units | None) -> Usage | None:
    """Return the usage of an answer with the units that it reports. They are all of it if no other price applies."""
    if units is None or price is None or units.unit not in price.units:
        return usage
    if usage is None:
        return Usage(units=units) if price.only_units else None
    return replace(usage, units=units)


def charge_reported(call: Call, tariff: Tariff, bound: Bound, usage: Usage, *, is_complete: bool) -> Charge:
    """Return the charge for an attempt whose provider reported its tokens."""
    terms, price = tariff.terms, price_for(tariff.terms.price, call)
    if is_complete:
        tariff.answers.add(usage, call.answers)
    if price is not None and price.units and call.units is not None:
        return _charge_units(call, price, bound, usage, None)
    charge = _charge(price, usage, "provider")
    if bound.unbounded is not None and charge.is_priced:
        return replace(charge, nano=charge.nano + tools_nano(terms, bound.unbounded, usage))
    return charge


def charge_begun(
    call: Call, tariff: Tariff, bound: Bound, usage: Usage, *, arrived: Arrived, failure: Failure | None
) -> Charge:
    """Return the charge for an answer that broke off after its provider had reported the tokens of the prompt. `usage`
    includes those of the answer that arrived."""
    charge = charge_reported(call, tariff, bound, usage, is_complete=False)
    if arrived.events:
        charge = replace(charge, source="estimated")
    if failure is None or _charged(call, tariff.unfinished, arrived, failure) is not _ALL:
        return charge
    expected = _expected(call, arrived, failure, tariff.answers) or 0
    price = price_for(tariff.terms.price, call)
    likely = _charge(price, replace(usage, tokens_out=max(usage.tokens_out, expected)), "estimated")
    nano = max(charge.nano, min(likely.nano, bound.nano))
    return replace(likely, nano=nano, tokens=bound.tokens, held_nano=max(bound.nano - nano, 0))


def charge_estimated(call: Call, tariff: Tariff, bound: Bound, arrived: Arrived, failure: Failure | None) -> Charge:
    """Return the charge for an attempt whose provider reported nothing. If the provider ran tools, the tokens that they
    added to the prompt are unknown, so the rest of the reservation is held."""
    price = price_for(tariff.terms.price, call)
    charged = _charged(call, tariff.unfinished, arrived, failure)
    if charged is _NOTHING:
        return FREE
    if price is not None and price.only_units:
        return _charge_units(call, price, bound, None, failure)
    if charged is not _ALL:
        charge = _charge(price, counted_usage(call, arrived.events), "estimated")
        if bound.unbounded is None or price is None:
            return charge
        return replace(charge, held_nano=max(charge.held_nano, bound.nano - charge.nano))
    speech = spoken(call, arrived.bytes_in if failure is None else None)
    if speech is not None:
        return _charge_spoken(call, price, bound, speech)
    tokens_out = _expected(call, arrived, failure, tariff.answers)
    if tokens_out is None:
        return Charge(bound.nano, bound.tokens, "reserved", is_priced=price is not None)
    usage = counted_usage(call, tokens_out)
    nano = min(cost_nano(price, usage), bound.nano) if price is not None else 0
    held = bound.nano - nano
    return Charge(nano, bound.tokens, "estimated", usage, is_priced=price is not None, held_nano=held)


def _charge_units(call: Call, price: Price, bound: Bound, reported: Usage | None, failure: Failure | None) -> Charge:
    """Return the charge for a call that costs units. Without a failure it is certain if the provider reported them, or
    if the request shows their exact number."""
    charge = _charge(price, used_units(price, call, reported or counted_usage(call, 0)), "provider")
    if reported is not None and reported.units is not None:
        return charge
    if failure is None and call.units is not None and call.units.is_exact:
        return charge if reported is not None else replace(charge, source="request")
    return replace(charge, source="estimated", held_nano=max(bound.nano - charge.nano, 0))


def _charge_spoken(call: Call, price: Price | None, bound: Bound, speech: Spoken) -> Charge:
    """Return the charge for a spoken text. Limits hold the cost of the most tokens that its audio can have."""
    likely, most = [
        _charge(price, replace(counted_usage(call, tokens), audio_out=tokens), "estimated")
        for tokens in (speech.likely, speech.most)
    ]
    nano = min(likely.nano, bound.nano)
    held = min(most.nano, bound.nano) - nano
    return replace(likely, nano=nano, tokens=min(most.tokens, bound.tokens), held_nano=held)


def _charge(price: Price | None, usage: Usage, source: UsageSource) -> Charge:
    tokens = usage.tokens_in + usage.tokens_out
    if price is None:
        return Charge(0, tokens, source, usage, is_priced=False)
    return Charge(cost_nano(price, usage), tokens, source, usage)


def _expected(call: Call, arrived: Arrived, failure: Failure | None, answers: Answers) -> int | None:
    """Estimate the tokens of an answer that the provider may charge in full; `None` if unknown."""
    if failure is None and call.operation in _TEXT:  # the answer is complete
        return arrived.events if arrived.is_counted else max(1, arrived.bytes_in // BYTES_PER_TOKEN)
    if failure is not None and failure.kind is failures.CONNECTION_STALE:
        return 0  # it ended at once: if anything, its provider has read the prompt
    expected = answers.expected(call)
    return expected if expected is None else max(expected, arrived.events)


def _charged(call: Call, unfinished: str | None, arrived: Arrived, failure: Failure | None) -> str:
    """Return the part of an attempt that its provider may charge, if it reported no usage."""
    goes_on = failure is not None and failure.kind in _GOES_ON and DIALECTS[call.head.dialect].continues_unread(call)
    if arrived.events and not (goes_on and unfinished in (None, "full")):
        return _ARRIVED
    if failure is None:
        return _ALL
    if not arrived.was_sent or (arrived.status is not None and arrived.status >= 400):
        return _NOTHING
    # A provider that answers with a web page, for example, has served nothing.
    is_garbled = failure.kind is failures.MALFORMED_ANSWER and arrived.is_announced
    if not is_garbled and failure.kind not in _LEFT_OPEN:
        return _NOTHING
    return _UNFINISHED[unfinished or ("prompt" if arrived.is_counted and not goes_on else "full")]


_UNFINISHED = {"full": _ALL, "prompt": _PROMPT, "none": _NOTHING}
