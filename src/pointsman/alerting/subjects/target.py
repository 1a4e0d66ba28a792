"""Each model of a provider that had attempts."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import AlertSubject


class TargetFacts(Struct, frozen=True, kw_only=True):
    """The facts of one model of a provider in the last `over_s`."""

    provider: Annotated[str, Meta(description="The provider.")]
    model: Annotated[str, Meta(description="The provider's name of the model.")]
    attempts: Annotated[int, Meta(description="Attempts that have ended in the last `over_s`.")]
    attempts_per_s: Annotated[float, Meta(description="The same for each second.")]
    error_rate: Annotated[float, Meta(description="The share of them, from 0 to 1, that failed.")]
    attempts_in_progress: Annotated[int, Meta(description="Attempts in progress.")]
    first_byte_p50_s: Annotated[float | None, Meta(description="The median of the seconds to the first byte.")]
    first_byte_p95_s: Annotated[float | None, Meta(description="The 95th percentile of the same.")]
    first_byte_p99_s: Annotated[float | None, Meta(description="The 99th percentile of the same.")]
    tokens_per_s: Annotated[float, Meta(description="Tokens for each second.")]
    usd_per_h: Annotated[float, Meta(description="Cost in US dollars for each hour.")]


SUBJECT = AlertSubject(facts=TargetFacts, labels=("provider", "model"), needs_pages=True)
