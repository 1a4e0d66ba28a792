"""Decides which models are one: by the rules of names, then by what the tables say beside the names.

A model whose title or price contradicts its group stays apart under `key@provider`, unless a rule below joins it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from msgspec import Struct

from pointsman.catalog.names import key_of
from tools.catalog.records import Record

Place = tuple[str, str]
ByTable = Mapping[str, Record]

# Publishers that offer the models themselves. Others may still have the first release under an undated name.
HOMES = (
    "openai", "anthropic", "gemini", "mistral", "cohere", "deepseek", "xai", "moonshot", "zai", "alibaba", "minimax",
    "perplexity", "voyage", "ai21", "upstage", "stepfun", "xiaomi", "inception", "arcee",
)  # fmt: skip

# Open weights with several releases under one name: (undated key, the first release). A host that lists a later release
# too means the first one by the undated name. Any other host may have moved on, so it stays apart.
# Sources: https://api-docs.deepseek.com/updates, https://huggingface.co/deepseek-ai
FIRST_RELEASES = {
    "deepseek-r1": "deepseek-r1-0120",
    "deepseek-v3": "deepseek-v3-1226",
    "deepseek-v4-flash": "deepseek-v4-flash-0423",
    "deepseek-v4-pro": "deepseek-v4-pro-0423",
    "deepseek-v4-1-flash": "deepseek-v4-1-flash-0910",
}
_MOVED = {
    ("together", "deepseek-r1"): "https://docs.together.ai/docs/serverless-models names R1-0528",
}

# Previews that became general: (key, key of the group, source). Those of image models differ in context from them.
JOINS = (
    ("gemini-3-1-flash-lite-preview", "gemini-3-1-flash-lite", "https://ai.google.dev/gemini-api/docs/deprecations"),
    ("gemini-embedding-2-preview", "gemini-embedding-2", "https://ai.google.dev/gemini-api/docs/deprecations"),
)
JOINED = {key: to for key, to, _ in JOINS}

# Contradictions that are none: (kind, pattern of the key, pattern of the provider, reason).
EXPLAINED = (
    ("number", r"stral.*-\d{4}$|^mistral-ocr-\d$", ".*",
     "Mistral's titles give the generation beside the date: https://docs.mistral.ai/getting-started/models/models_overview/"),
    ("number", r"^gemini-.*-image(-preview)?$", ".*", "Google calls the image models Nano Banana"),
    ("word", r"^gemini-.*-image(-preview)?$", ".*", "Google calls the image models Nano Banana"),
    ("number", r"-latest$", "gemini|vertex", "the title of a `latest` name is its present target"),
    ("word", r"-highspeed$|-ultrafast$|-customtools$", ".*", "the title writes the suffix as two words"),
    ("word", r"^grok-4(-1)?-fast$", "xai", "xAI's undated name reasons: https://docs.x.ai/docs/models"),
    ("price", r"^text-(multilingual-)?embedding-00\d$", ".*", "Google charges characters, resellers tokens"),
)  # fmt: skip
# Models whose publisher alone sets the price. Hosts of open weights set their own prices, so these say nothing there.
CLOSED = re.compile(
    r"^(gpt-(?!oss|image)|o[134](-|$)|chatgpt|claude|gemini|grok|command|embed-|nova-|sonar|mercury|text-embedding|"
    r"mistral-(medium|large|saba)|magistral-medium|codestral|devstral-medium|qwen[\d-]*-(max|plus|flash)|qwen-|"
    r"kimi-k2-turbo|imagen|jamba|muse-)"
)
_WORDS = frozenset((
    "turbo", "fast", "lite", "mini", "nano", "thinking", "reasoning", "preview", "exp", "experimental", "beta", "base",
    "vision", "vl", "fp", "distill", "pro", "air", "flash", "max", "code", "coder", "codex", "uncensored",
    "abliterated", "terminus", "speciale", "awq", "int", "tools", "audio", "image", "embed", "tts", "realtime",
))  # fmt: skip
_FAR, _FEW = 8, 3  # times the median of a group, and the least number of contexts with a median
_ISO = re.compile(r"-20\d\d-\d\d-\d\d$")


class Flag(Struct, frozen=True, order=True):
    """A contradiction within a group. `reason` is the rule that explains it; without one, the place stays apart."""

    key: str
    place: Place
    kind: str  # `number` or `word` of a title, `price`, `context`, `moved` or `undated`
    detail: str
    reason: str = ""


class Groups(Struct):
    """`keys` has the key of each model's group, `raw` that of its name alone."""

    keys: dict[Place, str]
    raw: dict[Place, str]
    flags: list[Flag]


def group(models: Mapping[Place, ByTable]) -> Groups:
    raw = {place: key_of(*place) for place in models}
    groups = Groups({}, raw, [])
    by_key: defaultdict[str, list[Place]] = defaultdict(list)
    listed = {(provider, key) for (provider, _), key in raw.items()}
    for place, key in raw.items():
        found = _released(place, key, models[place], listed, groups.flags)
        by_key[found].append(place)
    for key, places in by_key.items():
        reference = _reference(key, places, models)
        flagged: set[Place] = set()
        groups.flags += _context_flags(key, places, models)
        for place in places:
            flags = [*_title_flags(key, place, models[place]), *_price_flags(key, place, models[place], reference)]
            flags = [_explained(flag) for flag in flags]
            groups.flags += flags
            if not all(flag.reason for flag in flags):
                flagged.add(place)
        if any(place[0] in HOMES for place in flagged):  # the publisher's name means another model by now
            flagged = {place for place in places if place[0] not in HOMES}
        for place in places:
            apart = place in flagged and "@" not in key and len(places) > 1
            groups.keys[place] = f"{key}@{place[0]}" if apart else key
    _join(groups)
    groups.flags.sort()
    return groups


def _released(place: Place, key: str, by_table: ByTable, listed: set[Place], flags: list[Flag]) -> str:
    """Return the key of the release that an undated name means."""
    undated, _, host = key.partition("@")
    first = FIRST_RELEASES.get(undated)
    if first is None or not host:
        return key
    if why := _MOVED.get((host, undated)):
        flags.append(Flag(undated, place, "moved", why))
        return key
    dates = {found[0] for record in by_table.values() if (found := re.findall(r"\b\d{4}\b", record.title))}
    if dates:
        flags.append(Flag(undated, place, "undated", f"its title says {' and '.join(sorted(dates))}"))
        return f"{undated}-{dates.pop()}" if len(dates) == 1 else key
    if any(provider == host and other.startswith(f"{undated}-") and other[-4:].isdigit() for provider, other in listed):
        flags.append(Flag(undated, place, "undated", "the host lists a later release too", f"so it means {first}"))
        return first
    flags.append(Flag(undated, place, "undated", "the host lists no other release"))
    return key


def _join(groups: Groups) -> None:
    """Join keys that mean one model: those of the table, and an undated name of OpenAI with its only snapshot."""
    present = set(groups.keys.values())
    snapshots: defaultdict[str, set[str]] = defaultdict(set)
    for (provider, _), key in groups.keys.items():
        if provider in ("openai", "azure") and _ISO.search(key):
            snapshots[_ISO.sub("", key)].add(key)
    only = {keys.pop(): undated for undated, keys in snapshots.items() if len(keys) == 1 and undated in present}
    for place, key in groups.keys.items():
        groups.keys[place] = JOINED.get(key) or only.get(key) or key


def _title_flags(key: str, place: Place, by_table: ByTable) -> list[Flag]:
    found: dict[str, Flag] = {}
    name = f"{place[1]} {key}".lower()
    for table, record in by_table.items():
        title = re.sub(r"\((latest|public preview|free|us|eu|au|jp|global|preview)\)", "", record.title.lower())
        title = title.rpartition(": ")[2]
        numbers = _numbers(title) - _numbers(name)
        numbers = {one for one in numbers if one not in "".join(re.findall(r"\d", name))}
        if numbers:
            found["number"] = Flag(key, place, "number", f"{table} calls it {record.title}")
        words = _words(title) - _words(name)
        if words and table != "genai-prices":  # one entry of this table may be for several models
            found["word"] = Flag(key, place, "word", f"{table} calls it {record.title}")
    return list(found.values())


def _numbers(text: str) -> set[str]:
    """Return the numbers that tell versions: no sizes, no context lengths, and no first version."""
    text = re.sub(r"\b(1\.0|\d+(\.\d+)?[bkmt]\b|a\d+(\.\d+)?b\b|fp\d+|bf\d+|\d+x\d+b)", " ", text)
    text = re.sub(r"(?<=\d)[./](?=\d\d\b)", "", text)  # 25.01 and 09/05 are dates
    return set(re.findall(r"\d+", re.sub(r"(?<=\d)p(?=\d)", ".", text)))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text)) & _WORDS


def _reference(key: str, places: list[Place], models: Mapping[Place, ByTable]) -> list[tuple[int, int]]:
    """Return the prices that a closed model may have: all that tables have for its publisher, else the median."""
    if not CLOSED.search(key):
        return []
    owners = [place for place in places if place[0] in HOMES]
    homes = [price for place in owners for price in _prices(models[place])]
    homes += [price for place in owners for record in models[place].values() for price in record.earlier]
    if homes:
        return homes
    every = [prices[0] for place in places if (prices := _prices(models[place]))]
    return [(round(median(one[0] for one in every)), round(median(one[1] for one in every)))] if len(every) > 2 else []


def _prices(by_table: ByTable) -> list[tuple[int, int]]:
    drafts = [record.price for record in by_table.values() if record.price.has_tokens]
    return [(draft.rates["input"], draft.rates.get("output", 0)) for draft in drafts if draft.rates["input"]]


def _price_flags(key: str, place: Place, by_table: ByTable, reference: list[tuple[int, int]]) -> list[Flag]:
    if not reference or place[0] in HOMES:
        return []
    prices = _prices(by_table)
    if not prices or any(_is_near(one, other) for one in prices for other in reference):
        return []
    shown = f"{prices[0][0] / 1e6:g}/{prices[0][1] / 1e6:g}"
    return [Flag(key, place, "price", f"{shown} instead of {reference[0][0] / 1e6:g}/{reference[0][1] / 1e6:g}")]


def _context_flags(key: str, places: list[Place], models: Mapping[Place, ByTable]) -> list[Flag]:
    """Note contexts that are far from the group's. They part nothing, because a host may limit a context."""
    found = {
        place: next((record.context for record in models[place].values() if record.context), None) for place in places
    }
    known = [context for context in found.values() if context is not None]
    if len(known) < _FEW:
        return []
    middle = median(known)
    return [
        Flag(key, place, "context", f"{context} tokens instead of {middle:g}", "a host may limit the context")
        for place, context in found.items()
        if context is not None and not 1 / _FAR < context / middle < _FAR
    ]


def _is_near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether neither price is half of the other or less."""
    return all(2 * min(a, b) > max(a, b) for a, b in zip(one, other, strict=True) if a and b)


def _explained(flag: Flag) -> Flag:
    for kind, key, provider, reason in EXPLAINED:
        if kind == flag.kind and re.search(key, flag.key) and re.fullmatch(provider, flag.place[0]):
            return Flag(flag.key, flag.place, flag.kind, flag.detail, reason)
    return flag
