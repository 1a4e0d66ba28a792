"""Decides when a model retires."""

from tools.catalog.groups import ByTable
from tools.catalog.packages import PACKAGES

# These publish dates before which they do not retire a model. Such a date is no retirement.
_NOT_SOONER = frozenset({"anthropic", "gemini", "vertex", "bedrock", "azure"})
LISTS = ("models.dev", "litellm", "pi-ai", "model-prices")  # tables of ids; genai-prices has patterns
LISTED_ON = PACKAGES["pi-ai"].date  # the day of the newest list of ids


def retired_on(provider: str, by_table: ByTable) -> tuple[str, str] | None:
    """Return the table and the day of a retirement, if the provider has announced one."""
    for table in ("models.dev", "litellm"):
        record = by_table.get(table)
        if record is None or record.deprecated_on is None:
            continue
        if provider in _NOT_SOONER:
            is_past = record.deprecated_on <= LISTED_ON
            if not record.is_announced or (is_past and "pi-ai" in by_table):
                continue
        return table, record.deprecated_on
    listing = {table: record for table, record in by_table.items() if table in LISTS}
    if all(record.is_gone for record in listing.values()):
        return max((table, record.gone_by) for table, record in listing.items())
    removed = listing.get("model-prices")
    if removed is not None and removed.is_gone and "pi-ai" not in listing:
        return "model-prices", removed.gone_by
    return None
