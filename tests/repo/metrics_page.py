"""The reference page of metrics, and of the attributes of spans."""

from collections.abc import Iterator

from fakes.all_metrics import all_metrics
from pointsman.admin.export.attributes import ATTEMPT_ATTRIBUTES, REQUEST_ATTRIBUTES
from pointsman.admin.export.gen_ai import GenAiMetrics
from pointsman.admin.export.points import otlp_name
from pointsman.domain.failures import KINDS

INTRODUCTION = """# Metrics and attributes

[The guide](../operations/observability.md) shows how to collect them. `/metrics` of the console's address has the sums
over all workers, in the text format of Prometheus or in OpenMetrics. The first column of the tables has the names
there, and the last one those in OTLP.

`virtual_key`, `team`, `provider`, `model` and the other labels are names of the configuration or the catalog. A model
that neither knows is `other` until a provider has served it. Each family has at most 10,000 series; further ones are
counted under `other`. No label contains an end user, a session or a tag.
"""

_CONVENTIONS = """OTLP also has these histograms, with the names, attributes and buckets of OpenTelemetry's conventions
for generative AI. The gateway is a client in its attempts, and a server in its requests.
"""


def metrics_page() -> str:
    page = all_metrics()
    lines = [INTRODUCTION]
    for title, families in (("Counters", page.counters), ("Histograms", page.histograms), ("Gauges", page.gauges)):
        lines += [f"## {title}\n", "| name | labels | meaning | in OTLP |", "|---|---|---|---|"]
        lines += sorted(_row(one.name, one.labels, one.description) for one in families)
        lines.append("")
    lines += [
        "## Metrics of the conventions\n",
        _CONVENTIONS,
        "| name | unit | attributes | meaning |",
        "|---|---|---|---|",
    ]
    for one in GenAiMetrics({}).families:
        listed = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.name}` | {otlp_name(one.name)[1]} | {listed} | {one.description} |")
    lines.append("")
    lines += list(_error_types())
    lines += ["## Attributes of the span and the log record of a request\n", *_table(REQUEST_ATTRIBUTES)]
    lines += ["## Attributes of the span of an attempt\n", *_table(ATTEMPT_ATTRIBUTES)]
    return "\n".join(lines)


def _row(name: str, labels: tuple[str, ...], meaning: str) -> str:
    listed = ", ".join(f"`{one}`" for one in labels)
    other, unit = otlp_name(name)
    exported = f"`{other}` in {unit}" if unit != "1" else f"`{other}`"
    return f"| `{name}` | {listed} | {meaning} | {exported} |"


def _error_types() -> Iterator[str]:
    yield "## Types of errors\n"
    yield "`error_type`, `outcome` and the attribute `error.type` have one of these values; `outcome` may also be `ok`."
    yield "[Errors](errors.md) explains those that clients see.\n"
    yield ", ".join(f"`{code}`" for code in sorted({*KINDS, "worker_died"})) + "\n"


def _table(attributes: dict[str, str]) -> Iterator[str]:
    yield "| attribute | meaning |"
    yield "|---|---|"
    for name, meaning in sorted(attributes.items()):
        yield f"| `{name}` | {meaning} |"
    yield ""
