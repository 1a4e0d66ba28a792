"""One call of a tool in an answer, for clients that ask for it, from providers whose dialect cannot.

All calls but the first are left out. The client returns the answer as it saw it, so the conversation stays consistent:
the model makes another call in its next turn if it still needs one.
"""

from collections.abc import Sequence

from pointsman.domain.calls import Call
from pointsman.domain.pieces import Piece, ToolArguments, ToolBegin
from pointsman.wire.translation import Halves, PieceReader, ProviderHalves


def cuts_calls(ours: Halves, theirs: ProviderHalves, call: Call) -> bool:
    """Return whether an answer to this call must have no second call of a tool, which the provider cannot ensure."""
    if not theirs.calls_freely:
        return False
    fields = call.fields
    names_it = "parallel_tool_calls" in fields or b"disable_parallel" in bytes(fields.get("tool_choice", b""))
    return names_it and ours.read_request(call).tool_choice.parallel is False


def first_call(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """Return the pieces without the calls of tools after the first."""
    return [piece for piece in pieces if not isinstance(piece, ToolBegin | ToolArguments) or piece.index == 0]


class SingleCallReader:
    """A `PieceReader` that leaves out the calls after the first."""

    def __init__(self, reader: PieceReader) -> None:
        self._reader = reader

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:
        """Return the pieces in one event. Raises one of `json_object.UNREADABLE`."""
        return first_call(self._reader.read(data, event))
