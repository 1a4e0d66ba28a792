"""The bound that a request states on its answer: which field it stands in, and calls with another one."""

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call, Operation

# The first is the one that is put in where the client states none.
_FIELDS = {
    Operation.CHAT: ("max_completion_tokens", "max_tokens"),
    Operation.COMPLETION: ("max_tokens",),
    Operation.RESPONSES: ("max_output_tokens",),
}


def is_response_creation(method: str, path: str) -> bool:
    """Whether a call on `/responses` makes one, as others read, cancel or count."""
    return method == "POST" and path.partition("?")[0] == "/responses"


def takes_bound(call: Call) -> bool:
    """Whether the request has a field for the most tokens its answer may have."""
    if call.operation is Operation.RESPONSES:
        return bool(call.fields) and is_response_creation(call.method, call.path)
    return call.operation in _FIELDS


def bounded(call: Call, tokens: int) -> Call:
    """The call with at most `tokens` for each answer. `takes_bound` must hold. What states more is lowered; where
    nothing is stated, it is put in."""
    names, fields = _FIELDS[call.operation], call.fields.copy()
    stated = {name: bytes(fields[name]) for name in names if name in fields and bytes(fields[name]) != b"null"}
    for name in stated or names[:1]:
        if name not in stated or msgspec.json.decode(stated[name], type=float) > tokens:
            fields[name] = Raw(b"%d" % tokens)
    return replace(call, fields=fields, max_tokens=tokens)
