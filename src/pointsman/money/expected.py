"""The expected cost of a request at a candidate: an estimate to compare candidates by, while a reservation is an upper
bound.

| part | estimate |
|---|---|
| prompt | its size: a token for every four bytes, and a fixed number for each image, recording and file |
| cached prompt | the part that its cache is known to hold, else the shares of earlier prompts in its cache |
| answer | the mean of the candidate's earlier answers, else that of the other candidates', else `USUAL_ANSWER` |
| speech | by the characters of the text |
| longest answer | the request's own bound, or the model's maximum |
| rates | those of the requested service tier, and of the price step that the prompt reaches |
| images, seconds and other units | as requested, or a usual number |
| tools of the provider | one use of each that the request allows, and all that it orders, if their price is known |

The estimate of a prompt must cost nothing, so it does not read the text. Its error is the same at all candidates, so it
matters only if one of them is cheaper for input and another for output.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.outcomes import Usage
from pointsman.money.charges import USUAL_ANSWER, Answers
from pointsman.money.pricing import WITH_OUTPUT, cost_nano, is_billed_later
from pointsman.money.provider_tools import unbounded_of
from pointsman.money.speech import spoken
from pointsman.money.terms import Terms
from pointsman.money.units import likely, price_for
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.tokens import about_by_size
from pointsman.wire.unbounded import Use

_OF_PROMPTS = WITH_OUTPUT - {"audio"}  # of which the answers have the usual length

PRIOR = 4  # the number of own answers that count as much as the usual length of all candidates


class Workload(Struct, frozen=True, gc=False):
    """The facts of a call that its cost depends on at every candidate."""

    call: Call
    tokens_in: int
    is_free: bool

    @property
    def tier(self) -> str | None:
        """The service tier that the call names."""
        return DIALECTS[self.call.head.dialect].service_tier(self.call)


def workload_of(call: Call) -> Workload:
    """Return the workload of a call, to be computed once for all of its candidates."""
    return Workload(call, max(about_by_size(call), 1), DIALECTS[call.head.dialect].is_free(call))


def usual_answer(known: Iterable[Answers | None]) -> float:
    """Return the usual length in tokens of an answer of some candidates. Candidates with more answers count more."""
    total, count = 0.0, 0
    for answers in known:
        if answers is not None and answers.mean is not None:
            total += answers.mean * answers.count
            count += answers.count
    return total / count if count else USUAL_ANSWER


def expected_each(
    each: Sequence[Terms],
    call: Call,
    earlier: Sequence[Answers | None],
    cached: Sequence[float | None],
) -> list[int | None]:
    """Return the expected cost of a request at several candidates, as `expected_nano` does for one. `earlier` are the
    answers of each candidate so far. A strategy needs all costs for each request, so the usual ones are computed
    without a call."""
    workload, usual = workload_of(call), usual_answer(earlier)
    is_usual = call.operation in _OF_PROMPTS and not workload.is_free
    found, tokens_in, bound, count = list[int | None](), workload.tokens_in, call.max_tokens, call.answers
    for terms, answers, hit in zip(each, earlier, cached, strict=True):
        price = terms.price
        if price is None or not (is_usual and terms.is_flat) or hit:
            found.append(expected_nano(terms, workload, answers, usual, cached=hit))
            continue
        length = usual
        if answers is not None:
            if answers.cached or answers.written:
                found.append(expected_nano(terms, workload, answers, usual, cached=hit))
                continue
            mean = answers.mean
            if mean is not None:
                length = (mean * answers.count + usual * PRIOR) / (answers.count + PRIOR)
        most = bound or terms.output
        if most is not None and most < length:
            length = most
        pico = tokens_in * price.rates.input + round(length * count) * price.rates.output
        found.append(-(-pico // 1000) + price.request_nano)
    return found


def expected_nano(
    terms: Terms,
    workload: Workload,
    answers: Answers | None = None,
    usual: float = USUAL_ANSWER,
    *,
    cached: float | None = None,
) -> int | None:
    """Return the expected cost of a request at a candidate, in nano-dollars; `None` if its price is unknown.

    `answers` are the earlier ones of the candidate. `usual` is the length of an answer to assume until there are some;
    `usual_answer` computes it from those of all candidates. `cached` are the tokens of the prompt that are expected to
    be read from the candidate's cache; by default they follow from its earlier prompts."""
    if workload.is_free:
        return 0
    call, price = workload.call, price_for(terms.price, workload.call)
    if price is None or is_billed_later(call, terms):
        return None
    tokens_in = workload.tokens_in
    tokens_out = expected_output(terms, call, answers, usual) if call.operation in WITH_OUTPUT else 0
    share, written = (answers.cached, answers.written) if answers is not None else (0.0, 0.0)
    if cached is not None:
        share = min(cached / tokens_in, 1.0)
    if share or written:
        read = round(tokens_in * share)
        write = min(round(tokens_in * written), tokens_in - read)
        usage = Usage(tokens_in, tokens_out, read, tokens_cache_write=write, tier=workload.tier)
    else:
        usage = Usage(tokens_in, tokens_out, tier=workload.tier)
    if call.units is not None and price.units:
        usage = replace(usage, units=likely(call.units))
    nano = cost_nano(price, usage)
    return nano + _tools_nano(terms, call) if terms.tools else nano


def expected_output(terms: Terms, call: Call, answers: Answers | None, usual: float) -> int:
    """Return the expected tokens of all answers to a call. A few answers say little, so at first they only move the
    usual length. Those of a spoken text follow from the text."""
    speech = spoken(call, None) if call.operation == "audio" else None
    if speech is not None:
        return speech.likely
    each = usual
    if answers is not None and answers.mean is not None:
        each = (answers.mean * answers.count + usual * PRIOR) / (answers.count + PRIOR)
    most = call.max_tokens or terms.output
    return round((each if most is None else min(each, most)) * call.answers)


def _tools_nano(terms: Terms, call: Call) -> int:
    """Return the expected cost of the tools that the provider runs itself, in nano-dollars."""
    unbounded = unbounded_of(terms, call)
    return sum(_fee(terms, use) for use in unbounded.uses) if unbounded is not None else 0


def _fee(terms: Terms, use: Use) -> int:
    price = terms.tools.get(use.tool)
    if price is None:
        return 0
    is_optional = price.once or use.field == "tools"  # the model decides whether it uses one
    return price.nano * (min(use.count, 1) if is_optional else use.count)
