"""The bound that a request states on its answer: which field it stands in, and calls with another one."""

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation

# A chat has two: `max_tokens` is the older one, which OpenAI's own reasoning models refuse, and
# `max_completion_tokens` the newer one, which some servers ignore. Which to put in is known of the provider.
NEWER, OLDER = "max_completion_tokens", "max_tokens"
_FIELDS = {
    Operation.CHAT: (NEWER, OLDER),
    Operation.COMPLETION: ("max_tokens",),
    Operation.RESPONSES: ("max_output_tokens",),
}


def without_unlimited(call: Call) -> dict[str, Raw]:
    """The fields of a call without those that say that its answer has no bound, for a provider to which that is an
    error: to leave them out means the same."""
    names = [name for name in _FIELDS.get(call.operation, ()) if bytes(call.fields.get(name, b"")) == b"-1"]
    return {name: value for name, value in call.fields.items() if name not in names} if names else call.fields


def bounded(call: Call, tokens: int, of_chats: str = NEWER) -> Call:
    """The call with at most `tokens` for each answer. `takes_bound` must hold. What states more is lowered; where
    nothing is stated, it is put in, into the field `of_chats` if it is a chat."""
    names, fields = _FIELDS[call.operation], call.fields.copy()
    stated = {name: bytes(fields[name]) for name in names if name in fields and bytes(fields[name]) != b"null"}
    for name in stated or (of_chats if call.operation is Operation.CHAT else names[0],):
        if name not in stated or not 0 <= msgspec.json.decode(stated[name], type=float) <= tokens:
            fields[name] = Raw(b"%d" % tokens)
    return replace(call, fields=fields, max_tokens=tokens)
