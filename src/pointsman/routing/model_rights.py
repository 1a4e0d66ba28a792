"""The names that a client chooses, and the rights of its virtual key to request them."""

from fnmatch import fnmatchcase

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.routing.wording import listed


def forbidden_name(key: VirtualKey, call: Call) -> failures.Failure | None:
    """Return the rejection of a name that the client chose and its key does not allow. The operator chose the targets
    of a public name, so they are not checked."""
    if not is_allowed(key, call.model):
        return not_allowed(key, f"the model {call.model!r}" if call.model else "a path that names no model", "model")
    for index, name in enumerate(call.fallbacks):
        if not is_allowed(key, name):
            return not_allowed(key, f"the model {name!r}", f"fallbacks[{index}]")
    return None


def is_allowed(key: VirtualKey, model: str) -> bool:
    """Return whether a virtual key may request a model by this name."""
    return not key.allow_models or any(fnmatchcase(model, pattern) for pattern in key.allow_models)


def not_allowed(key: VirtualKey, requested: str, param: str) -> failures.Failure:
    message = f"virtual key {key.name} may not use {requested}; its allow_models are {listed(key.allow_models)}"
    return failures.Failure(failures.MODEL_NOT_ALLOWED, message, param=param)
