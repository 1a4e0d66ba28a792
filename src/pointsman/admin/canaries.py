"""The canaries that workers have aborted, from the workers' metrics."""

from msgspec import Struct

from pointsman.admin.services import Services

METRIC = "pointsman_canary_aborted"


class AbortedCanary(Struct, frozen=True):
    """A canary, and the number of workers that have aborted it. `target` is `provider/model`."""

    model: str
    variant: str
    target: str
    workers: int


async def aborted_canaries(services: Services) -> list[AbortedCanary]:
    """Return the canaries that at least one worker has aborted. Raises `AwayError`."""
    counts: dict[tuple[str, ...], int] = {}
    for page in await services.worker_pages():
        for family in page.gauges:
            for labels, value in family.by_labels.items() if family.name == METRIC else ():
                counts[labels] = counts.get(labels, 0) + int(value)
    return [
        AbortedCanary(model, variant, f"{provider}/{upstream}", workers)
        for (model, variant, provider, upstream), workers in sorted(counts.items())
    ]
