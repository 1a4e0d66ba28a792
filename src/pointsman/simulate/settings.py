"""Settings of a simulated provider: models, keys, prices, pace and faults."""

import random
from typing import Annotated, Literal

from msgspec import Meta, Struct

DEFAULT_MODELS = (
    "gpt-4o-mini",
    "gpt-4o",
    "gpt-3.5-turbo-instruct",
    "text-embedding-3-small",
    "omni-moderation-latest",
    "gpt-image-1",
    "tts-1",
    "whisper-1",
    "rerank-v3.5",
    "mistral-ocr-latest",
)


class Lognormal(Struct, frozen=True, tag="lognormal", forbid_unknown_fields=True):
    """A lognormal distribution by its median and the standard deviation of its logarithm, truncated at `maximum`."""

    median: float
    sigma: float
    maximum: float | None = None


Distribution = float | Lognormal
"""A number, which is a constant, or a random distribution."""


def sample(distribution: Distribution, rng: random.Random) -> float:
    """Draw one value. A negative value becomes 0."""
    if isinstance(distribution, Lognormal):
        value = distribution.median * rng.lognormvariate(0.0, distribution.sigma)
        if distribution.maximum is not None:
            value = min(value, distribution.maximum)
    else:
        value = distribution
    return max(0.0, value)


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """Prices in pico-dollars per token: 150,000 is $0.15 per million tokens. `cached_pico` is the price of input tokens
    read from a cache, and `cache_write_pico` of those written to one (`None`: that of other input)."""

    input_pico: int
    output_pico: int
    cached_pico: int
    cache_write_pico: int | None = None

    def at(self, percent: int) -> "Price":
        """Return so much of the price, rounded up."""
        names = ("input_pico", "output_pico", "cached_pico")
        return Price(**{name: -(-getattr(self, name) * percent // 100) for name in names})


class UnitPrices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of one model in nano-dollars: of each image, by quality and size such as `high 1024x1024`; of a begun
    second of a recording, of which `least_seconds` are charged at least; of a character to be spoken; of a page of a
    document; and of a search of up to 100 documents, or parts of them with 500 tokens. 0 means that it is not charged
    by this unit."""

    image: dict[str, int] = {}
    second: int = 0
    least_seconds: int = 0
    character: int = 0
    page: int = 0
    search: int = 0


class RateLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of a key for each model, or with `is_shared` for all of them, each for `window_s`; `None` is
    unlimited. A bucket holds `burst` of a limit. `headers` may be truthful, absent, lies, or Azure's numbers for an
    unknown limit. With `retry_after`, a 429 states the time to wait."""

    requests: Annotated[int, Meta(gt=0)] | None = None
    tokens: Annotated[int, Meta(gt=0)] | None = None
    input_tokens: Annotated[int, Meta(gt=0)] | None = None
    output_tokens: Annotated[int, Meta(gt=0)] | None = None
    window_s: Annotated[float, Meta(gt=0)] = 60.0
    burst: Annotated[float, Meta(gt=0, le=1)] = 1.0
    is_shared: bool = False
    headers: Literal["truthful", "none", "ample", "exhausted", "unknown"] = "truthful"
    retry_after: bool = True


class ScheduledFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault that is active for requests [from_request, to_request), counted from 0. Without `to_request` it does not
    end. `probability` is per request. `fault` has the format of `faults.parse`."""

    fault: str
    from_request: int = 0
    to_request: int | None = None
    probability: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0


Billing = Literal["none", "sent", "full"]
"""The charge for an incomplete call: nothing, the prompt and the sent tokens, or the whole call."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one simulated provider.

    `keys` maps an accepted API key to the faults of all its requests (empty: none). Without keys, any key or none is
    accepted. `first_token_ms` is the delay of the first token, `token_gap_ms` the delay between two tokens. A complete
    answer takes as long as its stream. `output_tokens` is the length of an answer, drawn per choice and cut at the
    request's limit; `max_tokens` stands for the limit itself. `numbered` text is ` 0 1 2 …`, which reveals losses and
    reordering. `cached_share` is the share of each prompt reported as cached, and `cache_write_share` the share written
    to a cache; in Anthropic's API, only if the request marks a part for its cache. A model that reasons does so for
    `reasoning_tokens`, which chats contain with `shows_reasoning`. It calls `parallel_calls` functions at once if the
    request allows it. `seed` and the index of a request determine all random parts of its answer. `kept_requests` is
    the number of latest requests that are stored whole. A tool that the provider runs itself is used `tool_uses` times,
    if the request allows it, at `tool_fees` nano-dollars each. Each use, and each stored resource that a request names,
    adds `added_tokens` to the prompt. `more_fields` are further fields of chats. With `usage_first` a response reports
    its usage before its instructions, tools and output. `model_faults` and `path_faults` apply to all requests for a
    model, or for a path such as `/v1/embeddings`. `limits` are those of each key, unless `key_limits` has its own. The
    provider's clock is `clock_skew_s` ahead. With `cached_prompts`, so many latest prompts of each key are cached, and
    replace `cached_share`. `unit_prices` are those of models that are not charged by tokens. With `fewer_images`, a
    filter leaves out some of the requested ones. `prefill` is the treatment of a text of the assistant at the end of a
    conversation. It is continued only if the last message or the request has the field `prefill_mark`, if that is set.
    The lines of a batch are carried out over `batch_s`, as far as somebody asks, at `batch_percent` of the price; so
    many as `batch_failed_share` fail. A batch expires after `batch_window_s`, and reports its usage with `batch_usage`.
    """

    name: str = "simulated"
    models: tuple[str, ...] = DEFAULT_MODELS
    keys: dict[str, str] = {}
    first_token_ms: Distribution = 0.0
    token_gap_ms: Distribution = 0.0
    output_tokens: Distribution | Literal["max_tokens"] = 20.0
    text: Literal["words", "numbered"] = "words"
    seed: int = 0
    price: Price = Price(input_pico=150_000, output_pico=600_000, cached_pico=75_000)
    prices: dict[str, Price] = {}
    cached_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    cache_write_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    reasoning_tokens: Distribution = 8.0
    shows_reasoning: bool = False
    parallel_calls: Annotated[int, Meta(ge=1)] = 1
    bill_cancelled: Billing = "sent"
    bill_failed: Billing = "none"
    schedule: tuple[ScheduledFault, ...] = ()
    kept_requests: int = 100
    tool_uses: Annotated[int, Meta(ge=0)] = 1
    tool_fees: dict[str, int] = {}
    added_tokens: Annotated[int, Meta(ge=0)] = 0
    more_fields: tuple[str, ...] = ()
    usage_first: bool = False
    model_faults: dict[str, str] = {}
    path_faults: dict[str, str] = {}
    limits: RateLimits | None = None
    key_limits: dict[str, RateLimits] = {}
    clock_skew_s: float = 0.0
    cached_prompts: Annotated[int, Meta(ge=0)] = 0
    unit_prices: dict[str, UnitPrices] = {}
    fewer_images: Annotated[int, Meta(ge=0)] = 0
    prefill: Literal["ignored", "continued", "echoed", "rejected"] = "ignored"
    prefill_mark: str = ""
    batch_s: Annotated[float, Meta(ge=0.0)] = 0.0
    batch_window_s: Annotated[float, Meta(ge=0.0)] | None = None
    batch_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    batch_failed_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    batch_usage: bool = True
