"""The health at all workers, from the workers' metrics."""

from msgspec import Struct

from pointsman.admin.health_rows import HealthAtWorkers, merged_rows
from pointsman.admin.services import Services

SUSPECTING = "pointsman_breakers_frozen"


class HealthOfAll(Struct):
    """The rows, the worst first, and the number of workers that suspect themselves."""

    rows: list[HealthAtWorkers]
    suspecting: int


async def health_of(services: Services) -> HealthOfAll:
    """Return the states at all workers that answer. Raises `AwayError`."""
    pages = await services.worker_pages()
    suspecting = sum(
        [
            int(value)
            for page in pages
            for one in page.gauges
            if one.name == SUSPECTING
            for value in one.by_labels.values()
        ]
    )
    return HealthOfAll(merged_rows([page.health for page in pages]), suspecting)
