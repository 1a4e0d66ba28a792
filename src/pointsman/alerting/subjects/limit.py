"""Each budget and rate limit in its window."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import AlertSubject


class LimitFacts(Struct, frozen=True, kw_only=True):
    """The facts of one limit in one window, as of the latest change of its used amount."""

    owner: Annotated[str, Meta(description="The owner, such as `team:research` or `virtual_key:ci`.")]
    metric: Annotated[str, Meta(description="The unit that it counts: `usd`, `tokens` or `requests`.")]
    period: Annotated[str, Meta(description="The length of its window, such as `day` or `24h`.")]
    limit: Annotated[float, Meta(description="The limit, in dollars, tokens or requests.")]
    used: Annotated[float, Meta(description="The known spending in the window, in the same unit.")]
    used_percent: Annotated[float, Meta(description="The same as a percentage of the limit.")]
    is_soft: Annotated[bool, Meta(description="True if the limit rejects nothing.")]
    elapsed_percent: Annotated[float, Meta(description="The percentage of the window that has passed.")]
    window_left_s: Annotated[float, Meta(description="Seconds until the window ends.")]
    runs_out_in_s: Annotated[
        float | None,
        Meta(description="Seconds until the limit is used up, if spending goes on as on average in this window."),
    ]
    window_start: Annotated[int, Meta(description="The beginning of the window, in Unix seconds.")]
    window_end: Annotated[int, Meta(description="The end of the window, in Unix seconds.")]


SUBJECT = AlertSubject(
    facts=LimitFacts, labels=("owner", "metric", "period"), once_in="window_start", until="window_end"
)
