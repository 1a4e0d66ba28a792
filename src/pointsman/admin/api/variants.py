"""GET /api/v1/variants: the targets of public names side by side."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from msgspec import Struct

from pointsman.admin.canaries import aborted_canaries
from pointsman.admin.names import check_names
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.services import Has, Name, TimeSpan, as_json, usd
from pointsman.control.inquiries.variants import TargetState, VariantInquiry
from pointsman.control.store.reports import Rows
from pointsman.control.store.tables import Row
from pointsman.control.variants import quantile
from pointsman.domain.records import RequestRecord
from pointsman.domain.state import owner_of

MAX_SUMS = 50_000  # measures of targets in one answer
MAX_SCORES = 20_000
_DECODER = msgspec.json.Decoder(RequestRecord)

router = APIRouter(prefix="/api/v1", tags=["variants"], dependencies=[Depends(Need(Permission.USAGE_READ))])

Key = tuple[str, str, str]  # public name, variant and target


class VariantQuery(TimeSpan):
    """The span and the public name."""

    model: Name | None = None


class Scores(Struct, kw_only=True):
    """The scores of the requests of one target."""

    count: int = 0
    total: float = 0.0


class VariantRow(Struct, kw_only=True, omit_defaults=True):
    """One target of a public name; see `variants`."""

    model: str
    variant: str
    target: str
    configured_share: float | None = None
    observed_share: float | None = None
    requests: int = 0
    attempts: int = 0
    success_share: float | None = None
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    mean_cost_nano: int | None = None
    mean_cost_usd: str | None = None
    refusals: int = 0
    feedback_count: int = 0
    feedback_mean: float | None = None
    reasons: dict[str, int] = {}
    sticky: str | None = None
    is_canary: bool = False
    aborted_at_workers: int = 0


@router.get("/variants")
async def variants(services: Has, query: Annotated[VariantQuery, Query()]) -> Response:
    """Return the targets of public names side by side, for names with several targets or with a variant. The span is
    from `since` up to `until`, in Unix seconds and whole hours.

    `requests` ended at the target; `observed_share` is their share of the name's requests. `configured_share` is that
    of the weights in the present configuration. It is absent for fallbacks and removed targets. `success_share` is that
    of attempts without a failure. The quantiles of the time to the first content cover streams, exact to a fifth.
    `mean_cost_nano` is the cost of all attempts at the target, for each of its requests, and does not include later
    reconciliations. `refusals` are attempts whose answer was filtered or a refusal.

    `feedback_mean` is the mean of the scores from `POST /v1/feedback`, up to the newest 20,000.
    `reasons` counts requests by the reasons for which shares differ. `sticky`, `pinned`, `rule`, `took_over` and
    `fallback` are requests that got this target by a sticky value, by a header, by a rule, after another target had
    failed, and as a fallback. With `failed_over`, this target came first, and another one answered. All others are
    codes of verdicts, such as `drained`, `breaker_open`, `canary_aborted` or `over_budget`: the target was left out, or
    tried last. `more` is true if the answer is incomplete: choose a shorter span, or one model.
    """
    start, end = query.bounds()
    sums = await services.store.splits(query.model, Rows(start, end, MAX_SUMS + 1))
    configured = await services.control.ask(VariantInquiry(query.model), TargetState)
    if query.model is not None and not sums and not configured:
        await check_names(services, {"asked": query.model})
    scored = await services.store.feedback(query.model, Rows(start, end, MAX_SCORES))
    rows = _rows(sums[:MAX_SUMS], configured, _scores(scored))
    for one in await aborted_canaries(services):
        row = rows.get((one.model, one.variant, one.target))
        if row is not None:
            row.aborted_at_workers = one.workers
    found = [rows[key] for key in sorted(rows)]
    return as_json({"since": start, "until": end, "rows": found, "more": len(sums) > MAX_SUMS})


def _rows(sums: Iterable[Row], configured: Iterable[TargetState], scores: dict[Key, Scores]) -> dict[Key, VariantRow]:
    measures: dict[Key, dict[str, int]] = defaultdict(dict)
    for one in sums:
        measures[one["model"], one["variant"], one["target"]][one["measure"]] = one["value"]
    rows = {key: _row(key, measured) for key, measured in measures.items()}
    for target in configured:
        key = (target.model, target.variant, target.target)
        row = rows.setdefault(key, _row(key, {}))
        row.configured_share, row.sticky, row.is_canary = target.share, target.sticky, target.is_canary
    totals: dict[str, int] = defaultdict(int)
    for row in rows.values():
        totals[row.model] += row.requests
    for key, row in rows.items():
        if totals[row.model]:
            row.observed_share = row.requests / totals[row.model]
        score = scores.get(key)
        if score is not None:
            row.feedback_count, row.feedback_mean = score.count, score.total / score.count
    return rows


def _row(key: Key, measured: dict[str, int]) -> VariantRow:
    model, variant, target = key
    requests, attempts = measured.get("requests", 0), measured.get("attempts", 0)
    buckets = {int(name[5:]): value for name, value in measured.items() if name.startswith("ttft:")}
    mean = measured.get("nano", 0) // requests if requests else None
    return VariantRow(
        model=model,
        variant=variant,
        target=target,
        requests=requests,
        attempts=attempts,
        success_share=1 - measured.get("failures", 0) / attempts if attempts else None,
        ttft_p50_s=quantile(buckets, 0.5),
        ttft_p95_s=quantile(buckets, 0.95),
        mean_cost_nano=mean,
        mean_cost_usd=usd(mean) if mean is not None else None,
        refusals=measured.get("refusals", 0),
        reasons={name[4:]: value for name, value in measured.items() if name.startswith("why:")},
    )


def _scores(scored: Iterable[Row]) -> dict[Key, Scores]:
    """Return the scores of the owners of requests, by target. Those of anybody else do not count."""
    found: dict[Key, Scores] = {}
    for one in scored:
        record = _DECODER.decode(one["record"])
        if one["owner"] == owner_of(record.virtual_key, record.team):
            key = (record.model or "", record.variant or "", f"{record.provider}/{record.upstream_model}")
            score = found.setdefault(key, Scores())
            score.count += 1
            score.total += one["score"]
    return found
