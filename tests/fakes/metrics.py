"""A reader of metrics pages that uses the official parser of Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from pointsman.admin.metrics import render
from pointsman.telemetry.metrics import MetricsPage


def samples(page: MetricsPage | str) -> dict[str, float]:
    """Return samples by name and labels, in the order of the page. Fail for duplicates."""
    text = render(page).decode() if isinstance(page, MetricsPage) else page
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            series = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert series not in found, f"{series} occurs twice"
            found[series] = sample.value
    return found
