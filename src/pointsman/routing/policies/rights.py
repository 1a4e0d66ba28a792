"""A virtual key that names providers may use only these, with the models and the keys that it allows for each."""

from fnmatch import fnmatchcase

from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker

_WITHOUT_MODEL = frozenset({"file", "batch"})  # `model_rights` checks the models that the lines of a batch name


def static(item: Candidate, asker: Asker) -> Reason | None:
    key = asker.key
    if key is None or not key.entries:
        return None
    entry = key.entries.get(item.endpoint.name)
    if entry is None:
        return Reason("provider_not_allowed", f"virtual key {key.name} may not use provider {item.endpoint.name}")
    names_none = not item.model and asker.operation in _WITHOUT_MODEL
    if not entry.allow_models or names_none or any(fnmatchcase(item.model, pattern) for pattern in entry.allow_models):
        if entry.keys is not None and not any(one.name in entry.keys for one in item.keys):
            names = ", ".join(sorted(entry.keys))
            message = f"virtual key {key.name} may use only the keys {names} of provider {entry.provider}, and none of "
            return Reason("model_not_allowed", f"{message}them serves {item.model}")
        if entry.weight == 0:
            return Reason("drained", f"virtual key {key.name} sets the weight of provider {entry.provider} to 0")
        return None
    message = f"virtual key {key.name} may not use model {item.model} of provider {entry.provider}"
    return Reason("model_not_allowed", message)
