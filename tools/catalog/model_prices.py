"""Reads the timelines of `model-prices` (MIT): prices that publishers charge for their own models, with the page or the
commit of models.dev that states each."""

import json
from datetime import date
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tools.catalog.records import Draft, Record, Table

_FILE = "model_prices/snapshot.json"
_PROVIDERS = {
    "ai21": "ai21", "alibaba": "alibaba", "amazon-bedrock": "bedrock", "anthropic": "anthropic", "arcee": "arcee",
    "cohere": "cohere", "deepseek": "deepseek", "google": "gemini", "inception": "inception", "minimax": "minimax",
    "mistral": "mistral", "moonshotai": "moonshot", "openai": "openai", "perplexity": "perplexity",
    "stepfun-ai": "stepfun", "upstage": "upstage", "volcengine": "volcengine", "xai": "xai", "xiaomi": "xiaomi",
    "zai": "zai",
}  # fmt: skip
_TIERS = ("batch", "flex", "fast", "ultrafast")
_CLASSES = ("input", "output", "cache_read", "cache_write")
_COPY = "github.com/sst/models.dev"


def read(wheel: Path, on: date) -> Table:
    """Return the prices in force on a day. A model that its publisher removed has none."""
    with ZipFile(wheel) as archive:
        content = json.loads(archive.read(_FILE))
    found: Table = {}
    for theirs, provider in _PROVIDERS.items():
        states = content["status"].get(theirs, {})
        for model, modes in content["prices"].get(theirs, {}).items():
            rates = _in_force(modes["standard"], on)
            if rates is None:
                continue
            record = Record(price=_draft(modes, rates, on), is_gone=states.get(model) == "removed")
            record.page = rates["source"] if _COPY not in rates["source"] else ""
            record.gone_by = content["updated_at"][:10] if record.is_gone else ""
            record.earlier = tuple(
                (round(one["rates"]["input"] * 1e6), round(one["rates"]["output"] * 1e6))
                for one in modes["standard"]
                if one["rates"] is not None
            )
            found[provider, model] = record
    return found


def _draft(modes: dict[str, Any], rates: dict[str, Any], on: date) -> Draft:
    draft = Draft(_plain(rates), _above(rates))
    thinking = _in_force(modes["thinking"], on) if "thinking" in modes else None
    if thinking is not None and thinking["output"] != rates["output"]:
        draft.rates["reasoning"] = round(thinking["output"] * 1e6)
    for tier in _TIERS:
        changed = _in_force(modes[tier], on) if tier in modes else None
        if changed is not None:
            draft.tiers[tier] = _plain(changed)
            if above := _above(changed):
                draft.tiers_above[tier] = above
    return draft


def _in_force(timeline: list[dict[str, Any]], on: date) -> dict[str, Any] | None:
    started = [one for one in timeline if (one["start"] or "") <= f"{on}T23:59:59Z"]
    return started[-1]["rates"] if started else None


def _plain(rates: dict[str, Any]) -> dict[str, int]:
    return {kind: round(rates[kind] * 1e6) for kind in _CLASSES if kind in rates}


def _above(rates: dict[str, Any]) -> dict[int, dict[str, int]]:
    return {tier["above"] + 1: _plain(tier) for tier in rates.get("tiers") or ()}
