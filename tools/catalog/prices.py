"""Chooses the price of a model among those of the tables."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import median

from msgspec import Struct, field

from pointsman.domain.prices import Price
from tools.catalog.groups import ByTable, Place
from tools.catalog.records import Draft
from tools.catalog.regions import region_of

# The table that dates and cites each price comes first. models.dev comes last, because `pi-ai` has newer copies of it.
ORDER = ("genai-prices", "litellm", "pi-ai", "model-prices", "models.dev")
# Disagreements settled one by one: the table that is right, and why.
SETTLED = {
    ("mistral", "mistral-large-latest"): ("pi-ai", "the price of Mistral Large 4, which it means in the newest table"),
    ("mistral", "mistral-embed"): ("litellm", "an embedding has no output"),
    ("mistral", "mistral-embed-2312"): ("litellm", "an embedding has no output"),
    ("mistral", "magistral-small-latest"): (
        "litellm",
        "https://docs.mistral.ai/getting-started/models/models_overview/",
    ),
    ("mistral", "mistral-medium"): ("litellm", "the price of Mistral Medium 3.5, which it means in the newest table"),
    ("bedrock", "amazon.nova-2-lite-v1:0"): ("pi-ai", "within a region it costs a tenth more than across regions"),
    ("alibaba", "qwen3-vl-32b-thinking"): ("litellm", "the page has a higher price for thinking, and it always thinks"),
    ("xai", "grok-code-fast"): ("litellm", "https://docs.x.ai/docs/models, by the alias grok-code-fast-1"),
    ("xai", "grok-code-fast-1-0825"): ("litellm", "https://docs.x.ai/docs/models, by the alias grok-code-fast-1"),
}
# The only table that is read from the page of this publisher: https://www.alibabacloud.com/help/en/model-studio/model-pricing
_OF_PAGES = ("alibaba", "model-prices")
OUTLIER = 10  # times the median of the group
_LEAST_GROUP = 3
_MAX_EMBEDDING = 10_000_000  # pico-dollars per token: no embedding costs $10 per million tokens
_MAX_TOKEN = 1_000_000_000
_LEAST_TOKEN = 2_000  # no model costs less than $0.002 per million tokens
_MOST_RATIO = 30  # of output to input, for a model of text
_BATCH = 4  # a batch costs no less than this part of the model's price
_CHEAPER = frozenset({"batch", "flex"})
_MEDIA = frozenset({"audio", "image", "video"})
_OF_UNITS = re.compile(r"flux|stable-diffusion|sdxl|ssd-1b|playground-v|whisper|wan2|lyria", re.IGNORECASE)
_OF_TOKENS = frozenset({"audio_in", "audio_out", "image_in", "image_out"})
# Prices that a table converted from those of characters.
_CONVERTED = frozenset({("vertex", "text-embedding-preview-0409")})

Opinions = tuple[tuple[str, object], ...]


class Offer(Struct):
    """The price of a model, the table of each of its parts, and the reason if there is none."""

    draft: Draft | None = None
    origins: dict[str, str] = field(default_factory=dict)
    unpriced: str = ""
    disagreements: list[tuple[str, Opinions]] = field(default_factory=list)

    @property
    def rates(self) -> set[str]:
        return set(self.draft.rates) if self.draft is not None else set()

    @property
    def price(self) -> Price | None:
        return self.draft.price() if self.draft is not None else None


class Outlier(Struct, frozen=True, order=True):
    """A price that was left out. `times` is its multiple of the group's median."""

    place: Place
    table: str
    usd: float
    times: float


def chosen(place: Place, by_table: ByTable, *, is_closed: bool) -> Offer:
    """Take the rates that most tables agree on, else those of the first table. Other tables fill gaps if they agree on
    plain input and output, because rates of different days do not form a price."""
    drafts: dict[str, Draft] = {}
    for table in _order(place):
        record = by_table.get(table)
        if record is None or (record.is_shared and not is_closed):
            continue  # hosts of open weights do not charge what the publisher does
        price = record.price
        if not _counts(price, place[1], by_table) or not _is_possible(price, record.modalities_out):
            continue
        if place not in _CONVERTED and _is_of_tokens(place[1], table, by_table):
            drafts[table] = record.price
    offer = Offer()
    if not drafts:
        offer.unpriced = _why(by_table)
        return offer
    table = SETTLED.get(place, ("", ""))[0]
    if table not in drafts:
        table = _agreed(place, drafts, by_table)
    offer.draft = price = drafts.pop(table).copy()
    offer.origins = {f"price {name}": table for name in price.flat()}
    for other, draft in drafts.items():
        theirs, ours = draft.flat(), price.flat()
        for name in sorted(theirs.keys() & ours.keys()):
            if theirs[name] != ours[name]:
                values = ((offer.origins[f"price {name}"], ours[name]), (other, theirs[name]))
                offer.disagreements.append((f"price {name}", values))
        if _plain(draft) == _plain(price):
            _fill(price, draft)
            offer.origins |= {f"price {name}": other for name in price.flat().keys() - ours.keys()}
    before = price.flat()
    price.move()
    offer.origins |= {f"price {name}": "pointsman" for name in price.flat().keys() - before.keys()}
    if price.request_nano:
        offer.origins["price request"] = table
    return offer


def _order(place: Place) -> tuple[str, ...]:
    """Return the order of tables. The patterns of genai-prices do not separate all regions."""
    if region_of(*place) not in (None, "global"):
        return (*ORDER[1:], ORDER[0])
    return ORDER


def _agreed(place: Place, drafts: Mapping[str, Draft], by_table: ByTable) -> str:
    """Return the first table of those whose plain rates most independent tables share."""
    provider, table = _OF_PAGES
    if place[0] == provider and table in drafts and by_table[table].page:
        return table
    votes: Counter[tuple[int, int]] = Counter()
    for table, draft in drafts.items():
        is_old_copy = table in ("models.dev", "model-prices") and "pi-ai" in drafts and not by_table[table].page
        if draft.has_tokens and not is_old_copy and not by_table[table].is_shared:
            votes[_plain(draft)] += 1
    most = max(votes.values(), default=0)
    return next(
        (table for table, draft in drafts.items() if draft.has_tokens and votes[_plain(draft)] == most),
        next(iter(drafts)),
    )


def _plain(draft: Draft) -> tuple[int, int]:
    return draft.rates.get("input", 0), draft.rates.get("output", 0)


def _counts(price: Draft, model: str, by_table: ByTable) -> bool:
    """Return whether a price is stated. A price of zero is more often a gap or a plan than a free model, so it counts
    only if the id says so, or two tables by themselves, and none has another price."""
    if price.is_stated or ("input" in price.rates and model.endswith(":free")):
        return True
    others = {
        "models.dev" if table in ("pi-ai", "model-prices") else table: record
        for table, record in by_table.items()
        if record.vouches and "input" in record.price.rates
    }
    is_other = any(any(record.price.rates.values()) for record in by_table.values())
    return "input" in price.rates and len(others) > 1 and not is_other


def _is_of_tokens(model: str, table: str, by_table: ByTable) -> bool:
    """Return whether a price may be one of tokens. That of a model of images or sound alone is more often of an image
    or of a second, so another table, a page or a rate of its kind must confirm it. A model of sound is not free."""
    record = by_table[table]
    made = {kind for one in by_table.values() for kind in one.modalities_out}
    if not record.price.has_tokens:
        return bool(record.price.units) or not made & _MEDIA
    if not _OF_UNITS.search(model) and (not made or not made <= _MEDIA):
        return True
    prices = [_plain(one.price) for one in by_table.values() if one.price.has_tokens]
    is_named_so = re.search(r"gpt|gemini|banana", model) is not None  # they charge tokens wherever they are sold
    is_confirmed = is_named_so or prices.count(_plain(record.price)) > 1 or bool(record.page)
    return is_confirmed or bool(record.price.rates.keys() & _OF_TOKENS)


def _is_possible(price: Draft, modalities_out: tuple[str, ...]) -> bool:
    limit = _MAX_EMBEDDING if "embedding" in modalities_out else _MAX_TOKEN
    return all(rate < limit for rate in price.rates.values())


def _why(by_table: ByTable) -> str:
    if any("video" in record.modalities_out for record in by_table.values()):
        return "it is charged by the length of a video, for which there is no unit"
    made = {kind for record in by_table.values() for kind in record.modalities_out}
    rates = [record.price.rates for record in by_table.values() if "input" in record.price.rates]
    if "audio" in made and rates and not any(any(one.values()) for one in rates):
        return "it is charged by the piece of sound, for which there is no unit"
    if any(any(record.price.rates.values()) for record in by_table.values()):
        return "its tables have only a price of the publisher, or one of a wrong unit"
    if any("input" in record.price.rates for record in by_table.values()):
        return "its tables have 0, which may be a gap or a subscription"
    return "no table has a price"


def _fill(price: Draft, other: Draft) -> None:
    price.rates = other.rates | price.rates
    for tier, changes in other.tiers.items():
        if tier not in price.tiers:
            price.tiers[tier] = dict(changes)
            if tier in other.tiers_above:
                price.tiers_above[tier] = {start: dict(step) for start, step in other.tiers_above[tier].items()}
        elif all(price.tiers[tier].get(name) == changes.get(name) for name in ("input", "output")):
            # A rate that a table states does not move with the others. The plain one bounds it, as it may be older.
            stated = {name: min(rate, price.rates.get(name, rate)) for name, rate in changes.items()}
            price.tiers[tier] = (stated if tier in _CHEAPER else {}) | price.tiers[tier]
    if not price.above:
        price.above = {start: dict(step) for start, step in other.above.items()}
    elif price.above.keys() == other.above.keys():
        price.above = {start: other.above[start] | step for start, step in price.above.items()}


def without_implausible(offers: dict[Place, Offer]) -> None:
    """Remove prices that contradict those of the provider's own models, or themselves."""
    plain = {place: _plain(offer.draft) for place, offer in offers.items() if offer.draft and offer.draft.has_tokens}
    makers: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for (provider, model), price in plain.items():
        if provider == "openrouter":
            makers[model.partition("/")[0]].add(price)
    for place, (input_, output) in plain.items():
        provider, model = place
        whole = plain.get((provider, model.removesuffix(":batch")), (0, 0))
        is_text = not offers[place].rates & _OF_TOKENS
        reason = ""
        if model.startswith("~") and (input_, output) not in makers[model[1:].partition("/")[0]]:
            reason = "is that of none of the models that the alias may mean"
        elif input_ * _BATCH < whole[0] or output * _BATCH < whole[1]:
            reason = "is less than a quarter of the price without a batch"
        elif 0 < input_ < _LEAST_TOKEN:
            reason = f"is below ${_LEAST_TOKEN / 1e6:g} per million tokens"
        elif is_text and output > input_ * _MOST_RATIO > 0:
            reason = f"of output is more than {_MOST_RATIO} times that of input"
        if reason:
            table = offers[place].origins["price input"]
            offers[place] = Offer(unpriced=f"the price in {table} {reason}", disagreements=offers[place].disagreements)


def without_outliers(offers: Mapping[Place, Offer], keys: Mapping[Place, str]) -> list[Outlier]:
    """Remove prices that are ten times the median of their group, or a tenth of it."""
    groups: defaultdict[str, dict[Place, Draft]] = defaultdict(dict)
    for place, offer in offers.items():
        if offer.draft is not None and offer.draft.rates.get("input"):
            groups[keys[place]][place] = offer.draft
    found: list[Outlier] = []
    for drafts in groups.values():
        middle = median(draft.rates["input"] for draft in drafts.values())
        for place, draft in drafts.items() if len(drafts) >= _LEAST_GROUP else ():
            times = draft.rates["input"] / middle
            if not 1 / OUTLIER < times < OUTLIER:
                table = offers[place].origins["price input"]
                found.append(Outlier(place, table, draft.rates["input"] / 1e6, round(times, 3)))
                offers[place].draft = None
                offers[place].origins = {}
                offers[place].unpriced = f"the price in {table} is {times:.2g} times the median of the same models"
    return sorted(found)
