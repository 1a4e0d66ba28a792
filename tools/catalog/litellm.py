"""Reads LiteLLM's table: `model_prices_and_context_window_backup.json` of its wheel (MIT)."""

import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from pointsman.domain.units import Unit, UnitPrice
from tools.catalog.providers import ROWS
from tools.catalog.records import Draft, Record, Table

_FILE = "litellm/model_prices_and_context_window_backup.json"
_CLASSES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_image_token": "image_out",
    "output_cost_per_reasoning_token": "reasoning",
}
_RATE = re.compile(rf"({'|'.join(sorted(_CLASSES, key=len, reverse=True))})(?:_above_(\d+)k_tokens)?(?:_([a-z]+))?")
_TIERS = {"batches": "batch", "priority": "priority", "flex": "flex", "ultrafast": "ultrafast", "balanced": "balanced"}
_FLAGS = {
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_response_schema": "json_schema",
    "supports_native_structured_output": "json_schema",
    "supports_vision": "vision",
    "supports_audio_input": "audio_in",
    "supports_audio_output": "audio_out",
    "supports_reasoning": "reasoning",
    "supports_assistant_prefill": "prefill",
    "supports_prompt_caching": "prompt_cache",
    "supports_pdf_input": "pdf",
    "supports_web_search": "web_search",
}
_OUT = {"embedding": "embedding", "image_generation": "image", "image_edit": "image", "audio_speech": "audio",
        "video_generation": "video", "rerank": "score", "moderation": "score", "ocr": "document"}  # fmt: skip
_SKIPPED = frozenset({"search", "vector_store", "guardrail"})
# Prices of units by the mode of a model: the field, and the unit. Of seconds, a table may have the same price twice.
_UNITS: dict[str, tuple[tuple[str, Unit], ...]] = {
    "image_generation": (("output_cost_per_image", "image"), ("input_cost_per_image", "image")),
    "image_edit": (("output_cost_per_image", "image"),),
    "audio_transcription": (("input_cost_per_second", "second"), ("output_cost_per_second", "second")),
    "audio_speech": (("input_cost_per_character", "character"),),
    "rerank": (("input_cost_per_query", "search"),),
    "ocr": (("ocr_cost_per_page", "page"),),
}
_LEAST_SECONDS = {"groq": 10}  # https://console.groq.com/docs/speech-to-text: each request is billed for so many
_FREE = frozenset({("openai", "moderation"), ("azure", "moderation")})  # https://platform.openai.com/docs/pricing
# Sizes and qualities of images, placeholders for classes of models, tuned models, and prices of one region.
_KIND = re.compile(r"(?:(?P<quality>[a-z]+)/)?(?P<width>\d+)-x-(?P<height>\d+)/(?P<model>[\w.-]+)")
_NO_MODEL = re.compile(
    r"-x-|^(low|medium|high|hd|standard)/|^(fireworks|together)-ai-|^ft:|/\*|^container$|^search_api$"
    r"|commitment/|^[a-z]{2}(-gov)?-[a-z]+-\d/|^invoke/"
)


def read(wheel: Path) -> Table:
    with ZipFile(wheel) as archive:
        table: dict[str, dict[str, Any]] = json.loads(archive.read(_FILE))
    providers = {name: row.name for row in ROWS for name in row.litellm}
    found: Table = {}
    for full_name, entry in table.items():
        named = str(entry.get("litellm_provider"))
        if named not in providers or entry.get("mode") in _SKIPPED or "alias_of" in entry:
            continue
        provider, model = providers[named], _model(full_name, named)
        if _NO_MODEL.search(model) or (provider == "fireworks" and not model.startswith("accounts/")):
            continue
        found.setdefault((provider, model), _record(entry, provider))
    _add_kinds(found, table, providers)
    return found


def _add_kinds(found: Table, table: dict[str, dict[str, Any]], providers: dict[str, str]) -> None:
    """Add the prices of images by quality and size, which the table has as models of their own. Those of a model with
    a price of tokens are only its usual cost."""
    by_model: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    for full_name, entry in table.items():
        named = str(entry.get("litellm_provider"))
        kind = _KIND.fullmatch(_model(full_name, named)) if named in providers else None
        pico = _image_pico(entry, kind["width"], kind["height"]) if kind is not None else 0
        if kind is not None and pico and entry.get("mode") in ("image_generation", "image_edit"):
            size = f"{kind['width']}x{kind['height']}"
            by_model.setdefault((providers[named], kind["model"]), {})[kind["quality"] or "", size] = pico
    for place, kinds in by_model.items():
        record = found.get(place)
        if record is None:
            record = found[place] = Record(modalities_out=("image",))
        if not record.price.has_tokens:
            prices = [UnitPrice(pico, quality=quality, size=size) for (quality, size), pico in sorted(kinds.items())]
            record.price.units["image"] = (*record.price.units.get("image", ()), *prices)


def _image_pico(entry: dict[str, Any], width: str, height: str) -> int:
    """Return the price of an image of one size. The table has many prices by the pixel, rounded."""
    usd = entry.get("output_cost_per_image") or entry.get("input_cost_per_image") or 0
    by_pixel = round((entry.get("input_cost_per_pixel") or 0) * int(width) * int(height), 4)
    return round((usd or by_pixel) * 1e12)


def _model(full_name: str, provider: str) -> str:
    """Return the provider's own name, without the table's prefix."""
    prefix, slash, rest = full_name.partition("/")
    ours = {provider, provider.partition("-")[0], "azure", "bedrock", "vertex_ai", "text-completion-codestral"}
    if slash and prefix in ours:
        return rest.removeprefix("converse/")
    return full_name


def _record(entry: dict[str, Any], provider: str) -> Record:
    record = Record(_tokens(entry, "max_input_tokens"), _tokens(entry, "max_output_tokens"))
    record.modalities_in = tuple(sorted(entry.get("supported_modalities") or ()))
    mode = str(entry.get("mode"))
    record.modalities_out = tuple(sorted(entry.get("supported_output_modalities") or ()))
    if mode in _OUT:
        record.modalities_out = (_OUT[mode],)
        record.output = None
    for flag, capability in _FLAGS.items():
        if flag in entry:
            is_so = bool(entry[flag]) or record.capabilities.get(capability, False)
            record.capabilities[capability] = is_so
    date = str(entry.get("deprecation_date") or "")
    record.deprecated_on = date if re.fullmatch(r"\d{4}-\d\d-\d\d", date) else None
    record.is_announced = bool(entry.get("deprecation_source"))
    record.page = str(entry.get("source") or "")
    record.price = draft = _draft(entry)
    draft.is_free = (provider, mode) in _FREE and not any(draft.rates.values())
    if not draft.has_tokens:
        for name, unit in _UNITS.get(mode, ()):
            if entry.get(name) and unit not in draft.units:
                least = _LEAST_SECONDS.get(provider, 0) if unit == "second" else 0
                draft.units[unit] = (UnitPrice(round(entry[name] * 1e12), least=least),)
    return record


def _tokens(entry: dict[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return int(value) if isinstance(value, int | float) and value > 0 else None


def _draft(entry: dict[str, Any]) -> Draft:
    draft = Draft(request_nano=round(float(entry.get("input_cost_per_request") or 0) * 1e9))
    for name, value in entry.items():
        match = _RATE.fullmatch(name)
        if match is None or not isinstance(value, int | float):
            continue
        kind, thousands, suffix = match.groups()
        if suffix is not None and suffix not in _TIERS:
            continue
        rate = round(value * 1e12)
        changes = draft.rates
        if suffix is not None and thousands is not None:
            changes = draft.tiers_above.setdefault(_TIERS[suffix], {}).setdefault(int(thousands) * 1000 + 1, {})
        elif suffix is not None:
            changes = draft.tiers.setdefault(_TIERS[suffix], {})
        elif thousands is not None:
            changes = draft.above.setdefault(int(thousands) * 1000 + 1, {})
        changes[_CLASSES[kind]] = rate
    if not draft.rates.get("output") and "image_out" in draft.rates:
        draft.rates["output"] = draft.rates["image_out"]  # an answer may not tell the two apart
    for step in entry.get("tiered_pricing") or ():
        if "range" in step:
            _add_step(draft, step)
    return draft


def _add_step(draft: Draft, step: dict[str, Any]) -> None:
    start = int(step["range"][0])
    changes = draft.above.setdefault(start + 1, {}) if start else draft.rates
    for name, kind in _CLASSES.items():
        if isinstance(step.get(name), int | float):
            changes[kind] = round(step[name] * 1e12)
