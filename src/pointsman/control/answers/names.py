"""Names that the configuration has."""

from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.names import NameInquiry
from pointsman.control.parts import Answers, ControlParts
from pointsman.domain.identity import key_named


async def _names(inquiry: NameInquiry, parts: ControlParts) -> list[str]:
    current = parts.configuration.current
    return [kind for kind, name in inquiry.names.items() if not is_configured(current, kind, name)]


def is_configured(compiled: Compiled, kind: str, name: str) -> bool:
    """Return whether the configuration or the catalog has an item of this kind and name. Kinds are columns of the
    store, or `asked`: a model as clients request it."""
    snapshot = compiled.snapshot
    if kind == "virtual_key":
        return key_named(snapshot.virtual_keys, name) is not None
    if kind in ("team", "customer"):
        return f"{kind}:{name}" in compiled.owners
    if kind == "provider":
        return name in snapshot.endpoints
    candidates = [one for model in snapshot.models.values() for one in (*model.targets, *model.fallbacks)]
    if kind == "variant":
        return any(one.variant == name for one in candidates)
    catalog = snapshot.pricing.catalog
    if kind == "model":
        served = any(catalog.find(endpoint.catalog, name) is not None for endpoint in snapshot.endpoints.values())
        return served or any(one.model == name for one in candidates)
    if kind == "asked":
        provider, _, model = name.partition("/")
        is_pinned = provider in snapshot.endpoints and is_configured(compiled, "model", model)
        return name in snapshot.models or is_pinned or catalog.name_of(name) is not None
    return False


ANSWERS: Answers = {NameInquiry: _names}
