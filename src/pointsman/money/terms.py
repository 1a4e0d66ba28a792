"""The price of an attempt and the limits it counts in, computed once for each virtual key and candidate."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf
from typing import TypedDict

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.prices import ModelFacts, Price, Rates, ToolPrice
from pointsman.domain.snapshots import PriceOverride, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.wire.unbounded import Use

# The names that providers have for their standard tier: OpenAI's, Anthropic's and Groq's. `auto` lets them choose.
STANDARD_TIERS = ("default", "standard", "standard_only", "on_demand")
MAX_TERMS = 20_000  # that are kept with a snapshot
DEFAULT_OUTPUT = 32_768  # tokens: the bound on an answer if neither request nor catalog has one
LARGE_PARTS = 16  # of a limit: a prompt whose bytes need more than one of them keeps others out
Limits = tuple[Limit, ...]


class Terms(Struct, frozen=True, kw_only=True, eq=False):
    """The prices and limits of a virtual key at a candidate.

    `limits` are ordered from the narrowest owner to the widest. `price` is `None` if unknown. `price_source` is
    `pricing.overrides`, a layer over the catalog such as `overlay`, or `catalog`: each outranks those after it.
    `output` is the most tokens that an answer can have, if known. `has_budget` is true if one of the limits is a budget
    that is not soft, so that an unknown price is rejected too. `max_input_rate` and `max_output_rate` are the most that
    a token can cost, in pico-dollars; 0 if no price is known. `by_tier` has the same two for requests that name their
    service tier. `default_output` is the most tokens, by operation, for requests that set no bound; without an entry,
    `output` applies. `context` is the most tokens that the model can read, if known. `tools` are the prices of the
    tools that the provider runs itself, and `model_uses` the tools that the model always uses.
    """

    limits: tuple[Limit, ...]
    price: Price | None
    price_source: str = ""
    output: int | None
    has_budget: bool
    max_input_rate: int = 0
    max_output_rate: int = 0
    request_nano: int = 0
    default_output: Mapping[Operation, int] = {}
    by_tier: dict[str, tuple[int, int]] = {}
    context: int | None = None
    tools: dict[str, ToolPrice] = {}
    model_uses: tuple[Use, ...] = ()
    is_flat: bool = False  # the price has one rate for each token, and no tool has a price


def known_terms(key: VirtualKey | None, candidate: Candidate, snapshot: Snapshot) -> Terms:
    """Return the terms for attempts of `key` at a candidate, which are computed once and kept with the snapshot."""
    memo: dict[str, dict[tuple[VirtualKey | None, Candidate], Terms]] = snapshot.__dict__
    known = memo.get("terms")
    if known is None:
        known = memo["terms"] = {}
    terms = known.get((key, candidate))
    if terms is None:
        if len(known) >= MAX_TERMS:  # names may come from clients
            known.clear()
        terms = known[key, candidate] = terms_of(key, candidate, snapshot)
    return terms


def terms_for_each(key: VirtualKey | None, candidates: tuple[Candidate, ...], snapshot: Snapshot) -> Sequence[Terms]:
    """Return the terms of `key` at several candidates, which are kept with the snapshot too."""
    memo: dict[str, dict[tuple[VirtualKey | None, tuple[Candidate, ...]], Sequence[Terms]]] = snapshot.__dict__
    known = memo.get("terms_for_each")
    if known is None:
        known = memo["terms_for_each"] = {}
    terms = known.get((key, candidates))
    if terms is None:
        if len(known) >= MAX_TERMS:
            known.clear()
        terms = known[key, candidates] = [known_terms(key, item, snapshot) for item in candidates]
    return terms


def limits_for(key: VirtualKey | None, candidate: Candidate, of_user: tuple[Limit, ...] = ()) -> tuple[Limit, ...]:
    """Return the limits that an attempt counts in, from the narrowest owner to the widest. A candidate that budgets
    fall to does not count in them. `of_user` are the limits of the end user."""
    limits = candidate.endpoint.limits
    if key is not None:
        entry = key.entries.get(candidate.endpoint.name)
        limits = (*of_user, *(entry.limits if entry is not None else ()), *key.limits, *limits)
    if candidate.then:
        limits = tuple([limit for limit in limits if limit.then != candidate.then])
    return limits


def terms_of(
    key: VirtualKey | None, candidate: Candidate, snapshot: Snapshot, of_user: tuple[Limit, ...] = ()
) -> Terms:
    """Return the terms for attempts of `key`, `None` in open mode, at a candidate.

    Price and bound come each from the best override, else from the catalog. An override for the key outranks one for
    its team, then one for its customer, then one for everybody. Within these, a name outranks a pattern, and an earlier
    entry a later one.
    """
    limits = limits_for(key, candidate, of_user)
    fitting = _fitting(snapshot.pricing.overrides, candidate.id, _owners(key))
    facts = snapshot.pricing.catalog.find(candidate.endpoint.catalog, candidate.model)
    price = next((override.price for override in fitting if override.price is not None), None)
    source = "pricing.overrides" if price is not None else ""
    output = next((override.output for override in fitting if override.output is not None), None)
    if facts is not None:
        if price is None and facts.price is not None:
            price = facts.price
            source = snapshot.pricing.catalog.price_source(candidate.endpoint.catalog, candidate.model)
        output = output or facts.output
    has_budget = any(limit.metric == "usd" and not limit.soft for limit in limits)
    max_input_rate, max_output_rate, request_nano = 0, 0, 0
    if price is not None:
        (max_input_rate, max_output_rate), request_nano = (
            most_rates(_rates(price, (*price.tiers, *price.tiers_above))),
            price.request_nano,
        )
    default_output = candidate.endpoint.default_output
    if output is not None:
        default_output = {operation: min(most, output) for operation, most in default_output.items()}
    by_tier = tier_rates(price) if price is not None and price.tiers else {}
    terms = Terms(
        limits=limits,
        price=price,
        price_source=source,
        output=output,
        has_budget=has_budget,
        max_input_rate=max_input_rate,
        max_output_rate=max_output_rate,
        request_nano=request_nano,
        default_output=default_output,
        by_tier=by_tier,
    )
    beyond = _beyond_bytes(candidate, fitting, facts)
    has_one_rate = price is not None and not (
        price.above or price.tiers or price.tiers_above or price.units or price.only_units
    )
    return replace(terms, is_flat=has_one_rate and not beyond["tools"], **beyond)


class _BeyondBytes(TypedDict):
    context: int | None
    tools: dict[str, ToolPrice]
    model_uses: tuple[Use, ...]


def _owners(key: VirtualKey | None) -> tuple[str, ...]:
    """Return the owners of a virtual key, the narrowest first, such as `team:research`."""
    if key is None:
        return ()
    parent = ("virtual_key", key.parent)
    named = (("virtual_key", key.name), parent, ("team", key.team), ("customer", key.customer))
    return tuple(f"{kind}:{name}" for kind, name in named if name is not None)


def _beyond_bytes(candidate: Candidate, fitting: Sequence[PriceOverride], facts: ModelFacts | None) -> _BeyondBytes:
    """Return the bounds on the cost of requests that their bytes do not bound."""
    context = next((override.context for override in fitting if override.context is not None), None)
    if context is None and facts is not None:
        context = facts.context
    endpoint = candidate.endpoint
    tools = dict(endpoint.tools)
    for override in reversed(fitting):
        tools |= override.tools
    found = next((use for use in endpoint.tool_models if fnmatchcase(candidate.model, use[0])), None)
    uses = (Use(found[1], found[2], "model"),) if found is not None else ()
    return {"context": context, "tools": tools, "model_uses": uses}


def tier_rates(price: Price) -> dict[str, tuple[int, int]]:
    """Return the highest rates of input and output for a request that names its service tier. A provider may serve it
    at its standard tier instead, and says so in the answer, but at no other:
    https://platform.openai.com/docs/api-reference/chat/create (`service_tier`)."""
    standard = most_rates(_rates(price, ()))
    named = {name: most_rates(_rates(price, (name,))) for name in price.tiers}
    return {**named, **dict.fromkeys(STANDARD_TIERS, standard)}


def _rates(price: Price, tiers: Iterable[str]) -> list[Rates]:
    """Return the standard rates and those of these tiers."""
    rates = [price.rates, *(higher for _, higher in price.above)]
    for name in tiers:
        rates += [higher for _, higher in price.tiers_above.get(name, ())]
        if name in price.tiers:
            rates.append(price.tiers[name])
    return rates


def most_rates(every: Iterable[Rates]) -> tuple[int, int]:
    """Return the highest rates of input and output."""
    every = list(every)
    inputs = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in")
    outputs = ("output", "audio_out", "image_out", "reasoning")
    return (
        max(getattr(rates, name) or 0 for rates in every for name in inputs),
        max(getattr(rates, name) or 0 for rates in every for name in outputs),
    )


def _fitting(overrides: tuple[PriceOverride, ...], model: str, owners: tuple[str, ...]) -> list[PriceOverride]:
    """Return the overrides that apply, the best first."""
    ranks = {owner: rank for rank, owner in enumerate(owners)}

    def rank(override: PriceOverride) -> tuple[int, bool]:
        return (len(ranks) if override.owner is None else ranks[override.owner], override.model != model)

    applying = [
        override
        for override in overrides
        if (override.owner is None or override.owner in ranks)
        and (override.model == model or fnmatchcase(model, override.model))
    ]
    return sorted(applying, key=rank)


def large_tokens(terms: Terms) -> float:
    """Return the number of tokens of a prompt that take a large part of a limit; infinity without a limit."""
    return min([_large_in(terms, limit) for limit in terms.limits], default=inf)


def _large_in(terms: Terms, limit: Limit) -> float:
    if limit.soft or limit.metric == "requests":
        return inf
    if limit.metric == "tokens":
        return limit.amount / LARGE_PARTS
    return limit.amount * 1000 / terms.max_input_rate / LARGE_PARTS if terms.max_input_rate else inf
