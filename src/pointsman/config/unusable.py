"""Warns about models that budgets or requirements make unusable, before a request fails."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from time import time

from pointsman.config.catalog import CatalogInUse
from pointsman.config.problems import Findings
from pointsman.config.requirements import warn_unmet
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.money.terms import terms_of
from pointsman.providers import PROVIDERS
from pointsman.routing.wording import listed

_LATER = ("other",)


def warn_unusable(snapshot: Snapshot, keys: Mapping[bytes, VirtualKey], findings: Findings) -> None:
    """Warn of models without a price under a budget, of calls that are billed on completion, and of requirements that
    nothing meets. `keys` are those in the document itself: a file of keys may have very many."""
    budgeted = [
        key
        for key in keys.values()
        if any(map(_has_budget, (key.limits, *(one.limits for one in key.entries.values()))))
    ]
    for model in snapshot.models.values():
        for item in (*model.targets, *model.fallbacks):
            reason = _cannot_use(model, item, keys.values(), budgeted, snapshot)
            if reason is not None:
                message = (
                    f"the price of {item.id} is unknown, so {reason} (403 price_unknown); set its price in "
                    f"pricing.overrides, or 0 if it is free"
                )
                findings.warning(("models", model.name), message)
    _warn_of_later(snapshot, findings, has_budget=bool(budgeted))
    warn_unmet(snapshot, keys.values(), findings, time())


def _warn_of_later(snapshot: Snapshot, findings: Findings, *, has_budget: bool) -> None:
    """Warn once for all keys and providers. `has_budget` is true if some key has a budget. A call for later
    work names no model. So its price is one for `provider/`, or for a pattern that includes it."""
    priced = [one.model for one in snapshot.pricing.overrides if one.price is not None and one.price.is_by_request]
    names = [
        endpoint.name
        for endpoint in snapshot.endpoints.values()
        if (has_budget or _has_budget(endpoint.limits))
        and any(operation in PROVIDERS[endpoint.type].codecs for operation in _LATER)
        and not any(fnmatchcase(f"{endpoint.name}/", pattern) for pattern in priced)
    ]
    if names:
        message = (
            f"budgets reject fine-tuning, videos and the like at {listed(names)} (403 price_unknown); use a key "
            f"without a budget, or set a price in pricing.overrides: "
            f"{{model: {names[0]}/, input_usd_per_million: 0, output_usd_per_million: 0, per_request_usd: 1}}"
        )
        findings.warning(("governance",), message)


def _cannot_use(
    model: PublicModel, item: Candidate, keys: Iterable[VirtualKey], budgeted: list[VirtualKey], snapshot: Snapshot
) -> str | None:
    """Name a key or budget that excludes a target because its price is not known."""
    if terms_of(None, item, snapshot).price is not None:
        return None
    is_for_all = _has_budget(item.endpoint.limits)
    users = [key for key in (keys if is_for_all else budgeted) if _may_use(key, model, item)]
    if is_for_all and not users:
        return f"the budget of provider {item.endpoint.name!r} rejects it"
    for key in users:
        terms = terms_of(key, item, snapshot)
        if terms.has_budget and terms.price is None:
            return f"virtual key {key.name!r}, which has a budget, cannot use it"
    return None


def _may_use(key: VirtualKey, model: PublicModel, item: Candidate) -> bool:
    if key.entries:
        entry = key.entries.get(item.endpoint.name)
        if entry is None or not _is_allowed(entry.allow_models, item.model):
            return False
    return _is_allowed(key.allow_models, model.name)


def _is_allowed(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _has_budget(limits: tuple[Limit, ...]) -> bool:
    return any(limit.metric == "usd" and not limit.soft for limit in limits)


def check_providers(in_use: CatalogInUse, snapshot: Snapshot, findings: Findings) -> None:
    """Report changes for a provider of the configuration whose models are those of another one in the catalog."""
    for endpoint in snapshot.endpoints.values():
        if endpoint.name != endpoint.catalog and endpoint.name in in_use.added:
            model = next(iter(in_use.catalog.models(endpoint.name)))
            known = endpoint.catalog
            message = f"the models of {endpoint.name} are those of {known} in the catalog; write {known}/{model}"
            findings.error(("catalog", "overlay"), message)
