"""The cost of requests that their bytes do not bound: input that a provider adds to a prompt, and tools that it runs
itself.

Under a budget that is not soft, such a request reserves its model's context window as input. It also reserves the price
of each use of a tool that it allows. The charge follows the answer. Its reported tokens include the added input, and
calls of tools are reported or appear in the answer. If the answer does not report a tool, the reserved price is
charged. Until then, limits of tokens count only the tokens of the request itself: most of them are smaller than a
model's context window.
"""

from msgspec.structs import replace

from pointsman.domain.calls import Call, Media
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import ToolPrice
from pointsman.domain.verdicts import Reason
from pointsman.money.pricing import upper_bound
from pointsman.money.terms import Terms
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.tokens import most_in
from pointsman.wire.unbounded import Unbounded, Use

_UNREPORTED = ("plugin:", "models", "preset")  # no answer reports these as they are charged


def unbounded_of(terms: Terms, call: Call) -> Unbounded | None:
    """Return the part of an attempt's cost that its bytes do not bound; `None` for nearly all."""
    found = DIALECTS[call.head.dialect].unbounded(call)
    if not terms.model_uses:
        return found
    if found is None:
        return Unbounded("model", terms.model_uses)
    requested = {use.tool for use in found.uses}
    uses = tuple(use for use in terms.model_uses if use.tool not in requested)
    return replace(found, field=found.field or "model", uses=found.uses + uses)


def not_bounded(terms: Terms, unbounded: Unbounded) -> Reason | None:
    """Return the reason not to send an attempt under a budget: its cost has no known bound."""
    for use in unbounded.uses:
        if use.tool not in terms.tools:
            message = (
                f"the field {use.field!r} lets the provider use the tool {use.tool!r}, whose price is unknown, and a "
                f"budget applies; set the price in pricing.overrides (tools_usd)"
            )
            return Reason("price_unknown", message)
    if unbounded.field and terms.context is None and terms.max_input_rate:
        message = (
            f"the field {unbounded.field!r} adds an unknown amount of input to the prompt, the context window of the "
            f"model is unknown, and a budget applies; set context_tokens in pricing.overrides"
        )
        return Reason("price_unknown", message)
    return None


def read_to_the_end(terms: Terms, call: Call, unbounded: Unbounded) -> Call:
    """Return the call as if its prompt filled the model's context window."""
    media = call.media
    missing = (terms.context or 0) - most_in(call)
    if not unbounded.field or missing <= 0:
        return call
    return replace(call, media=Media(media.count, media.tokens + missing, media.size, media.elsewhere))


def most_added(terms: Terms, unbounded: Unbounded) -> int:
    """Return the most that an attempt can cost beyond its input and its answer, in nano-dollars."""
    predicted = -(-unbounded.predicted * terms.max_output_rate // 1000)
    return predicted + sum(_fee(terms, use) for use in unbounded.uses)


def most_nano(terms: Terms, call: Call, unbounded: Unbounded) -> int:
    """Return the most that an attempt can cost, in nano-dollars."""
    return upper_bound(terms, read_to_the_end(terms, call, unbounded))[0] + most_added(terms, unbounded)


def tools_nano(terms: Terms, unbounded: Unbounded, usage: Usage | None) -> int:
    """Return the cost of the tools that the provider used, in nano-dollars: as reported, else as reserved."""
    if usage is None or usage.tools is None:
        return sum(_fee(terms, use) for use in unbounded.uses)
    total = sum(_fee(terms, use) for use in unbounded.uses if use.tool.startswith(_UNREPORTED))
    for name, count in usage.tools:
        price = _price_of(terms, unbounded, name)
        if price is not None:
            total += price.nano * (min(count, 1) if price.once else count)
    return total


def _fee(terms: Terms, use: Use) -> int:
    price = terms.tools.get(use.tool)
    if price is None:
        return 0
    return price.nano * (min(use.count, 1) if price.once else use.count)


def _price_of(terms: Terms, unbounded: Unbounded, name: str) -> ToolPrice | None:
    """Return the price of a tool by its name in the answer, which omits the kind that was requested."""
    requested = [
        terms.tools[use.tool] for use in unbounded.uses if use.tool.startswith(name) and use.tool in terms.tools
    ]
    return max(requested, key=lambda price: price.nano) if requested else terms.tools.get(name)
