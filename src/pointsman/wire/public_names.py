"""Second names of models, for clients that offer only models with certain names.

Claude Code lists only ids that begin with `claude` or `anthropic`. It therefore sees each public name a second time, as
`claude-via-NAME`. https://code.claude.com/docs/en/llm-gateway-protocol
"""

import msgspec

from pointsman.domain.calls import Call
from pointsman.domain.snapshots import Snapshot
from pointsman.wire.json_object import read_or

ALIAS = "claude-via-"
_NAME = msgspec.json.Decoder(str)
_BEGINNING = b'"' + ALIAS.encode("ascii")


def own_name(model: str, snapshot: Snapshot) -> str:
    """Return the name that a requested one stands for. A public name that begins like a second name is itself."""
    return model.removeprefix(ALIAS) if model.startswith(ALIAS) and model not in snapshot.models else model


def requested_name(call: Call) -> str:
    """Return the name as the client wrote it."""
    raw = call.fields.get("model")
    if raw is None or not bytes(raw).startswith(_BEGINNING):
        return call.model
    return read_or(_NAME, raw, call.model)
