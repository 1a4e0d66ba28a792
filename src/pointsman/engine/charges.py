"""What an attempt is charged when it is over: by the provider's own account, else by what can be known of it.

A stream that was broken off is charged for what arrived; where nothing did, for its prompt, since the provider may have
been at work on it. An answer in one piece that did not come to its end may have cost anything up to its bound: what its
provider charges then is said where the provider is configured. What the provider refused, or never got, costs nothing.
"""

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call, Operation
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.outcomes import Usage, UsageSource
from pointsman.domain.prices import Price
from pointsman.engine.reception import Reception
from pointsman.routing.failover import NEVER_SENT
from pointsman.routing.pricing import cost_nano, counted_usage

_READING = frozenset({"GET", "HEAD", "DELETE"})
_NOTHING_SERVED = frozenset({Fault.QUOTA, Fault.CREDENTIAL, Fault.REQUEST})
_NO_USAGE = Usage()
_PROVIDER, _FILE = UsageSource.PROVIDER, Operation.FILE  # members of enums are slow to read

# Failures that the gateway brought about itself by going away from a provider that may have been at work.
_BROKEN_OFF = frozenset(
    {
        failures.COMMIT_TIMEOUT,
        failures.STALLED,
        failures.STREAM_TOO_LONG,
        failures.DEADLINE_EXCEEDED,
        failures.CLIENT_GONE,
        failures.INTERNAL,
    }
)

# What becomes of an answer whose head says that it is there.
_CUT = frozenset({failures.TRUNCATED, failures.CONNECTION_LOST})
_UNFINISHED = {"full": UsageSource.RESERVED, "prompt": UsageSource.COUNTED, "none": UsageSource.NONE}


class Bound(Struct, frozen=True, gc=False):
    """What was reserved, in nano-dollars and tokens."""

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
    call: Call, price: Price | None, bound: Bound, unfinished: str, reception: Reception, failure: Failure | None
) -> Charge:
    """What to charge for an attempt that is over. `unfinished` is the endpoint's `bills_unfinished`."""
    usage = reception.used()
    source = _PROVIDER
    if usage is None:
        source = _source(call, unfinished, reception, failure)
        if source is UsageSource.NONE:
            return Charge(0, 0, source)
        if source is UsageSource.RESERVED:
            return Charge(bound.nano, bound.tokens, source, is_priced=price is not None)
        usage = counted_usage(call, reception.events)
    tokens = usage.tokens_in + usage.tokens_out
    if price is None:
        return Charge(0, tokens, source, usage, is_priced=False)
    return Charge(cost_nano(price, usage), tokens, source, usage)


def is_free(call: Call) -> bool:
    """Whether no provider charges for it: questions about what an account keeps, and uploads."""
    return call.method in _READING or call.operation is _FILE


def _source(call: Call, unfinished: str, reception: Reception, failure: Failure | None) -> UsageSource:
    """How to charge what the provider gave no account of."""
    counted = UsageSource.COUNTED if reception.events else UsageSource.NONE
    if failure is None:
        if reception.events:
            return UsageSource.COUNTED
        return UsageSource.NONE if is_free(call) else UsageSource.RESERVED
    kind, status = failure.kind, reception.status
    if kind in NEVER_SENT or kind.fault in _NOTHING_SERVED or (status is not None and status >= 400):
        return UsageSource.NONE
    is_broken_off = kind in _BROKEN_OFF and reception.leg is not None and reception.leg.was_sent
    if is_free(call):
        return UsageSource.NONE
    if not reception.is_counted and (is_broken_off or (status is not None and kind in _CUT)):
        return _UNFINISHED[unfinished]
    return UsageSource.COUNTED if is_broken_off else counted
