"""The stored objects that a call of the Responses API needs, or explicitly asks for.

https://platform.openai.com/docs/guides/conversation-state. A response is stored by default, but most clients never name
it again. Such a request may also go to a provider that stores none.
"""

from pointsman.domain.calls import Call
from pointsman.wire.dialects.openai import is_response_creation
from pointsman.wire.json_object import is_empty

_NAMING = ("previous_response_id", "conversation", "prompt")
_ASKING = ("background", "store")
_ACTIONS = ("/responses/input_tokens", "/responses/compact")


def stored(call: Call) -> str:
    """Return a description of these objects, or an empty text if there are none."""
    path, fields = call.head.path.partition("?")[0], call.fields
    if not is_response_creation(call.head.method, path) and path not in _ACTIONS:
        return f"{call.head.method} {path}"
    found = [name for name in _NAMING if name in fields and not is_empty(fields[name])]
    found += [f"{name}: true" for name in _ASKING if name in fields and bytes(fields[name]) == b"true"]
    if call.state is not None and any(named.kind == "item" for named in call.state.names):
        found.append("an item_reference in input")
    return ", ".join(found)
