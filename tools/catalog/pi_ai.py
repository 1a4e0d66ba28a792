"""Reads the table in the npm package `@earendil-works/pi-ai` (MIT): a newer extract of models.dev, and the own lists of
OpenRouter and Vercel."""

import json
import tarfile
from pathlib import Path
from typing import Any

from tools.catalog.records import Draft, Record, Table

_FOLDER = "package/dist/providers/data"
_PROVIDERS = {
    "amazon-bedrock": "bedrock", "anthropic": "anthropic", "azure": "azure", "baseten": "baseten",
    "cerebras": "cerebras", "cloudflare-workers-ai": "cloudflare", "deepseek": "deepseek", "fireworks": "fireworks",
    "google": "gemini", "google-vertex": "vertex", "groq": "groq", "huggingface": "huggingface", "minimax": "minimax",
    "mistral": "mistral", "moonshotai": "moonshot", "nvidia": "nvidia", "openai": "openai",
    "openrouter": "openrouter", "together": "together", "vercel-ai-gateway": "vercel", "xai": "xai",
    "xiaomi": "xiaomi", "zai": "zai",
}  # fmt: skip
OWN_LISTS = frozenset({"openrouter", "vercel"})  # the package reads these from the providers, not from models.dev
_COSTS = {"input": "input", "output": "output", "cacheRead": "cache_read", "cacheWrite": "cache_write"}


def read(package: Path) -> Table:
    found: Table = {}
    with tarfile.open(package) as archive:
        for name, provider in _PROVIDERS.items():
            member = archive.extractfile(f"{_FOLDER}/{name}.json")
            assert member is not None
            for models in json.load(member).values():
                for model in models.values():
                    if model["type"] == "chat":
                        found[provider, model["id"]] = _record(model)
    return found


def _record(model: dict[str, Any]) -> Record:
    record = Record(model.get("contextWindow") or None, model.get("maxTokens") or None, title=model["name"])
    record.modalities_in = tuple(sorted(model.get("input") or ()))
    record.price = Draft(_rates(model["cost"]))
    for tier in model["cost"].get("tiers") or ():
        record.price.above[tier["inputTokensAbove"] + 1] = _rates(tier)
    if "cache_read" in record.price.rates:
        record.capabilities["prompt_cache"] = True
    record.capabilities["reasoning"] = bool(model.get("reasoning"))
    return record


def _rates(cost: dict[str, float]) -> dict[str, int]:
    """Return the rates. The table writes 0 for the lack of a rate for cached tokens."""
    return {
        kind: round(cost[name] * 1e6)
        for name, kind in _COSTS.items()
        if name in cost and (cost[name] or kind in ("input", "output"))
    }
