"""A rule cannot widen the rights of a virtual key, and may allow one key of each provider alone."""

from fnmatch import fnmatchcase

from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker


def static(item: Candidate, asker: Asker) -> Reason | None:
    directive, key = asker.directive, asker.key
    if directive is None:
        return None
    if directive.provider_key is not None and not item.keys:
        only = f"the rule {directive.keyed_by} allows only the key {directive.provider_key}"
        return Reason("no_key", f"{only}, and {item.endpoint.name} has none for it")
    is_of_rule = bool(directive.targets) or (directive.fallbacks is not None and item.provenance == "fallback")
    if not is_of_rule or key is None or not key.allow_models:
        return None
    if any(fnmatchcase(name, pattern) for name in (item.id, item.model) for pattern in key.allow_models):
        return None
    allowed = f"the allow_models of virtual key {key.name}"
    message = f"the rule {directive.routed_by} names {item.id}, which {allowed} do not include"
    return Reason("model_not_allowed", message)
