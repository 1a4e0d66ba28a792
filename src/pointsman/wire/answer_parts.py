"""The parts of an answer that a comparison of two models needs, read from the bytes that a client receives."""

from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain.pieces import Finish, Piece, RefusalPiece, TextPiece, ToolArguments, ToolBegin
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.sse import event_data, split_events


class AnswerParts(Struct, frozen=True):
    """The text of an answer with its refusal, the names and arguments of the tools that it calls, and the reason for
    its end."""

    text: str
    tools: tuple[tuple[str, str], ...]
    finish: str

    def encoded(self) -> bytes:
        """Return the parts as an object in JSON."""
        return encode_object({"text": self.text, "tools": [list(one) for one in self.tools], "finish": self.finish})


def answer_parts(dialect: str, body: bytes, *, stream: bool) -> AnswerParts | None:
    """Read a whole answer in a client's dialect. Return `None` if it is no answer to a conversation."""
    halves = DIALECTS[dialect].halves
    if halves is None:
        return None
    try:
        if not stream:
            return _parts(halves.read_answer(body))
        reader, pieces = halves.reader(), list[Piece]()
        for event in split_events(body):
            data = event_data(event)
            if data is not None and data.strip():
                pieces += reader.read(data, event)
        return _parts(pieces)
    except UNREADABLE:
        return None


def _parts(pieces: Sequence[Piece]) -> AnswerParts:
    text, finish = list[str](), ""
    names, arguments = dict[int, str](), dict[int, str]()
    for piece in pieces:
        if isinstance(piece, TextPiece | RefusalPiece):
            text.append(piece.text)
        elif isinstance(piece, ToolBegin):
            names[piece.index] = piece.name
        elif isinstance(piece, ToolArguments):
            arguments[piece.index] = arguments.get(piece.index, "") + piece.text
        elif isinstance(piece, Finish):
            finish = piece.reason
    tools = tuple((name, arguments.get(index, "")) for index, name in names.items())
    return AnswerParts("".join(text), tools, finish)
