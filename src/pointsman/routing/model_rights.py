"""The names that a client chooses, and the rights of its virtual key to request them."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.requirements import merged
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.wording import listed


def forbidden_name(key: VirtualKey, call: Call) -> failures.Failure | None:
    """Return the rejection of a name that the client chose and its key does not allow. The operator chose the targets
    of a public name, so they are not checked."""
    if not call.model:
        return _forbidden_unnamed(key, call)
    if not is_allowed(key, call.model):
        return not_allowed(key, f"the model {call.model!r}", "model")
    for index, name in enumerate(call.fallbacks):
        if not is_allowed(key, name):
            return not_allowed(key, f"the model {name!r}", f"fallbacks[{index}]")
    return None


def _forbidden_unnamed(key: VirtualKey, call: Call) -> failures.Failure | None:
    """Return the same for a request without a model. If it uses none, the owners of objects decide."""
    if call.operation == "batch" and call.state is not None and call.state.creates is not None:
        return _forbidden_batch(key, call)
    if call.operation in ("file", "batch") or call.head.method in ("GET", "HEAD", "DELETE") or is_allowed(key, ""):
        return None
    return not_allowed(key, "a path that names no model", "model")


def _forbidden_batch(key: VirtualKey, call: Call) -> failures.Failure | None:
    """Return the rejection of a batch whose lines the key may not request. Another key may have uploaded its file, or
    this one when it had other rights."""
    work, rights = call.batch, line_rights(key, call.snapshot)
    may_use_all = all(_fits("", entry.allow_models) for entry in key.entries.values())
    if is_allowed(key, "") and may_use_all and not rights:
        return None
    if work is None or not work.names:
        message = (
            f"virtual key {key.name} may not request everything, and the lines of the file are not known here; upload "
            f"the file with POST /v1/files, and the field purpose before the file"
        )
        return failures.Failure(failures.MODEL_NOT_ALLOWED, message, param="input_file_id")
    for name in work.names:
        if not is_allowed(key, name):
            return not_allowed(key, f"the model {name!r}, which a line of the file names", "input_file_id")
    provider = call.pin.provider if call.pin is not None else ""
    entry = key.entries.get(provider)
    for one in work.models:
        if entry is not None and not _fits(one.model, entry.allow_models):
            message = f"virtual key {key.name} may not use model {one.model} of provider {provider}"
            return failures.Failure(failures.MODEL_NOT_ALLOWED, message, param="input_file_id")
    if rights and work.rights != rights:
        message = (
            f"the lines of the file were checked under other requirements than those of virtual key {key.name}; upload "
            f"the file again with this key"
        )
        return failures.Failure(failures.MODEL_NOT_ALLOWED, message, param="input_file_id")
    return None


def line_rights(key: VirtualKey | None, snapshot: Snapshot) -> str:
    """Return the requirements and the tools of providers that a line of a batch is checked by, as text to be compared.
    It is empty if there are none."""
    require = sorted(str(one) for one in merged(snapshot.require, key.require if key is not None else ()))
    tools = None if key is None or key.provider_tools is None else sorted(key.provider_tools)
    return f"{require} {tools}" if require or tools is not None else ""


def is_allowed(key: VirtualKey, model: str) -> bool:
    """Return whether a virtual key may request a model by this name."""
    return _fits(model, key.allow_models)


def _fits(model: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(model, pattern) for pattern in patterns)


def not_allowed(key: VirtualKey, requested: str, param: str) -> failures.Failure:
    message = f"virtual key {key.name} may not use {requested}; its allow_models are {listed(key.allow_models)}"
    return failures.Failure(failures.MODEL_NOT_ALLOWED, message, param=param)
