"""Model names as people type them, each with the model that the person means. The list was written before any of the
names was resolved.

`typed_names.tsv` has, by column: the name, the configured providers (`all` or `few`), the expectation, and the source
of the spelling. These are the expectations:

- `model NAME`: every target is the model with this canonical name.
- `at PROVIDER ID`: the only target is this one.
- `like NAME`: as `model`, or the name is rejected and NAME is among the suggestions.
- `absent PROVIDER`: the name is rejected, and the message names the provider that is missing.
- `refused`: the name is rejected without a suggestion.
"""

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from fakes.routing import endpoint
from pointsman.catalog.names import key_of
from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.snapshots import Names, Pricing, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.routing.router import router_of
from pointsman.routing.unknown_names import providers_to_add, suggested

FILE = Path(__file__).with_name("typed_names.tsv")
FEW = ("openai", "anthropic")
ALL = (*FEW, "gemini", "mistral", "deepseek", "xai", "cohere", "groq", "openrouter", "together", "vertex", "bedrock")


class Typed(NamedTuple):
    """One name, and its meaning."""

    name: str
    configured: str
    expected: str
    source: str


def typed_names() -> list[Typed]:
    return [Typed(*line.split("\t")) for line in FILE.read_text().splitlines()]


def configuration(configured: str, catalog: ModelCatalog) -> Snapshot:
    """Return a configuration of these providers."""
    endpoints = {name: replace(endpoint(name), catalog=name) for name in (ALL if configured == "all" else FEW)}
    return Snapshot(
        digest=configured,
        endpoints=endpoints,
        models={},
        virtual_keys={},
        pricing=Pricing(catalog=catalog),
        names=Names(endpoints, catalog),
    )


def outcome_of(typed: Typed, snapshot: Snapshot) -> tuple[bool, str]:
    """Return whether a name is understood as its person means it, and what happens to it."""
    resolve = router_of(snapshot).resolve
    public = resolve(typed.name)
    kind, _, meant = typed.expected.partition(" ")
    if public is not None:
        ids = [item.id for item in public.targets]
        same = all(_is(item, meant, snapshot) for item in public.targets)
        right = ids == [meant.replace(" ", "/", 1)] if kind == "at" else same and kind in ("model", "like")
        return right, f"goes to {', '.join(ids)}"
    near, absent = suggested(typed.name, snapshot, resolve), providers_to_add(typed.name, snapshot)
    said = f"is rejected; suggested: {', '.join(near) or 'nothing'}; missing: {', '.join(absent) or 'nothing'}"
    if kind == "like":
        return any(key_of("", one) == key_of("", meant) for one in near), said
    if kind == "absent":
        return meant in absent, said
    return kind == "refused" and not near and not absent, said


def _is(item: Candidate, meant: str, snapshot: Snapshot) -> bool:
    facts = snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    return facts is not None and key_of("", facts.name) == key_of("", meant)
