"""A provider is usable only with a key that serves the model."""

from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker


def static(item: Candidate, asker: Asker) -> Reason | None:
    if item.keys:
        return None
    entry = asker.key.entries.get(item.endpoint.name) if asker.key is not None else None
    if entry is not None and entry.keys is not None:
        return None  # the virtual key may use some keys only: the policy on rights reports it
    return Reason("no_key", f"no key of {item.endpoint.name} serves {item.model}")
