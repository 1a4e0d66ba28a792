"""What an attempt is charged when it is over: by the provider's own account, else by what can be known of it.

What arrived of a stream is counted. Of an answer of which nothing arrived, streamed or not, nobody can know what it
cost: its provider may have been at work up to its bound. What it charges then may be said where it is configured;
otherwise it is taken to stop at streams that nobody reads, and at nothing else. What the provider refused, said it had
failed at, or never got whole, costs nothing. docs/decisions/0016 has the cases.
"""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import STATEFUL, Call, Operation
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage, UsageSource
from pointsman.domain.prices import Price
from pointsman.engine.reception import Reception
from pointsman.routing.pricing import cost_nano, counted_usage
from pointsman.routing.provider_tools import tools_nano
from pointsman.routing.terms import Terms
from pointsman.wire.unbounded import Unbounded

_READING = frozenset({"GET", "HEAD", "DELETE"})
_KEPT = STATEFUL | {Operation.RESPONSES}
_NO_USAGE = Usage()
_PROVIDER, _FILE = UsageSource.PROVIDER, Operation.FILE  # members of enums are slow to read

# Failures that leave open what became of a request that the provider had got: the gateway went away from it, or the
# answer did not come, or not to its end.
_LEFT_OPEN = frozenset(
    {
        failures.COMMIT_TIMEOUT,
        failures.STALLED,
        failures.STREAM_TOO_LONG,
        failures.DEADLINE_EXCEEDED,
        failures.CLIENT_GONE,
        failures.SHUTTING_DOWN,
        failures.INTERNAL,
        failures.TRUNCATED,
        failures.CONNECTION_LOST,
    }
)
_UNFINISHED = {"full": UsageSource.RESERVED, "prompt": UsageSource.COUNTED, "none": UsageSource.NONE}


class Bound(Struct, frozen=True, gc=False):
    """What was reserved, in nano-dollars and tokens: nothing for what is free."""

    nano: int
    tokens: int


class Charge(Struct, frozen=True, gc=False):
    """What an attempt cost in the end: `nano` in nano-dollars, `tokens` as rate limits count them."""

    nano: int
    tokens: int
    source: UsageSource
    usage: Usage = _NO_USAGE
    is_priced: bool = True


def charge_for(
    call: Call, price: Price | None, bound: Bound, unfinished: str | None, reception: Reception, failure: Failure | None
) -> Charge:
    """What to charge for an attempt that is over. `unfinished` is the endpoint's `bills_unfinished`."""
    if not bound.tokens:  # it is free; what an account keeps may tell of usage that was charged before
        return Charge(0, 0, UsageSource.NONE)
    usage = reception.used()
    source = _PROVIDER
    if usage is None:
        source = _source(unfinished, reception, failure)
        if source is UsageSource.NONE:
            return Charge(0, 0, source)
        if source is UsageSource.RESERVED:
            return Charge(bound.nano, bound.tokens, source, is_priced=price is not None)
        usage = counted_usage(call, reception.events)
    tokens = usage.tokens_in + usage.tokens_out
    if price is None:
        return Charge(0, tokens, source, usage, is_priced=False)
    return Charge(cost_nano(price, usage), tokens, source, usage)


def with_tools(charge: Charge, terms: Terms, bound: Bound, unbounded: Unbounded) -> Charge:
    """The charge with what the provider charges for tools that it ran itself."""
    if not charge.is_priced or charge.source not in (_PROVIDER, UsageSource.COUNTED):
        return charge
    if charge.source is _PROVIDER:
        return replace(charge, nano=charge.nano + tools_nano(terms, unbounded, charge.usage))
    # It broke off: nobody told what was added to the prompt.
    return replace(charge, nano=max(charge.nano, bound.nano))


def is_free(call: Call) -> bool:
    """Whether no provider charges for it: questions about what an account keeps, orders to stop, and uploads."""
    if call.method in _READING or call.operation is _FILE:
        return True
    return call.operation in _KEPT and _is_order(call.path.partition("?")[0])


def _is_order(path: str) -> bool:
    return path.endswith(("/cancel", "/responses/input_tokens")) or path.startswith("/conversations")


def _source(unfinished: str | None, reception: Reception, failure: Failure | None) -> UsageSource:
    """How to charge what the provider gave no account of."""
    if reception.events:
        return UsageSource.COUNTED
    if failure is None:
        return UsageSource.RESERVED
    leg, status = reception.leg, reception.status
    if leg is None or not leg.was_sent or leg.is_uploading or (status is not None and status >= 400):
        return UsageSource.NONE
    # Who answers with a web page, say, has served nothing.
    is_garbled = failure.kind is failures.MALFORMED_ANSWER and reception.is_announced
    if not is_garbled and failure.kind not in _LEFT_OPEN:
        return UsageSource.NONE
    return _UNFINISHED[unfinished or ("prompt" if reception.is_counted else "full")]
