"""A dialect that only tests have, as one file: `integration.test_new_dialect` puts it into the package.

    {"model": "m", "lines": [["user", "Hello"]], "most": 100, "stream": false}

An answer is `{"id", "text", "end", "words"}`. A stream has an event for each part of the text, `{"text"}`, and one for
its end, `{"end", "words"}`. It has no tools, images or settings.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Conversation, Text, Turn, Written
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Done, Finish, Piece, Start, TextPiece, UsagePiece
from pointsman.wire.dialect import Dialect
from pointsman.wire.errors import error_body, error_event, error_headers
from pointsman.wire.json_object import encode_object, read_object, read_typed
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import about_size
from pointsman.wire.translation import Halves

NAME, PATH = "telegram", "/telegrams"
_KNOWN = frozenset({"model", "lines", "most", "stream"})


class _Telegram(Struct, gc=False):
    model: str
    lines: list[tuple[Literal["user", "assistant", "system"], str]]
    most: int | None = None
    stream: bool = False


class _Told(Struct, gc=False):
    id: str = ""
    text: str = ""
    end: str = ""
    words: tuple[int, int] = (0, 0)


_REQUEST = msgspec.json.Decoder(_Telegram)
_ANSWER = msgspec.json.Decoder(_Told)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    fields = read_object(body)
    typed = read_typed(_REQUEST, body, fields)
    return Call(
        operation="chat",
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=typed.model,
        fields=fields,
        size=len(body),
        stream=typed.stream,
        wants_usage=True,
        max_tokens=typed.most,
        stated_tokens=typed.most,
    )


def read_request(call: Call) -> Conversation:
    typed = _REQUEST.decode(encode_object(call.fields))
    turns = tuple(Turn(role, (Text(text),)) for role, text in typed.lines)
    rest = {name: raw for name, raw in call.fields.items() if name not in _KNOWN}
    return Conversation(origin=NAME, turns=turns, max_tokens=call.max_tokens, rest=rest)


def write_request(conversation: Conversation, is_streamed: bool) -> Written:
    texts = [("system", text) for text in conversation.system]
    texts += [(turn.role, part) for turn in conversation.turns for part in turn.parts if isinstance(part, Text)]
    fields = {
        "lines": [(role, text.text) for role, text in texts],
        "stream": is_streamed,
        "most": conversation.max_tokens,
    }
    return Written(fields={name: Raw(encode_object(value)) for name, value in fields.items()})


class TelegramReader:
    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:
        told = _ANSWER.decode(data)
        return [TextPiece(told.text)] if told.text else _end(told)


def _end(told: _Told) -> list[Piece]:
    return [Finish("stop" if told.end == "stop" else "length"), UsagePiece(Usage(*told.words)), Done()]


def read_answer(body: bytes) -> Sequence[Piece]:
    told = _ANSWER.decode(body)
    return [Start(told.id), TextPiece(told.text, begins=True), *_end(told)]


class TelegramWriter:
    def __init__(self, call: Call, now_unix_s: float) -> None:
        self._told = _Told()

    def write(self, pieces: Sequence[Piece]) -> bytes:
        return b"".join(map(self._event, pieces))

    def error(self, failure: Failure, request_id: str) -> bytes:
        return error_event(failure, request_id)

    def _event(self, piece: Piece) -> bytes:
        note(self._told, piece)
        if isinstance(piece, TextPiece):
            return b"data: %b\n\n" % encode_object({"text": piece.text})
        if isinstance(piece, Done):
            return b"data: %b\n\n" % encode_object({"end": self._told.end, "words": self._told.words})
        return b""


def note(told: _Told, piece: Piece) -> None:
    match piece:
        case Start():
            told.id = piece.id
        case TextPiece():
            told.text += piece.text
        case Finish():
            told.end = piece.reason
        case UsagePiece():
            told.words = (piece.usage.tokens_in, piece.usage.tokens_out)


def write_answer(call: Call, now_unix_s: float, pieces: Sequence[Piece]) -> bytes:
    told = _Told()
    for piece in pieces:
        note(told, piece)
    return encode_object(told)


DIALECT = Dialect(
    name=NAME,
    error_body=error_body,
    error_headers=error_headers,
    needs=lambda call, known: set(),
    prompt_tokens=lambda call: about_size(call.size),
    unbounded=lambda call: None,
    service_tier=lambda call: None,
    takes_bound=lambda call: True,
    is_free=lambda call: False,
    continues_unread=lambda call: False,
    halves=Halves(
        read_request=read_request,
        write_request=write_request,
        reader=TelegramReader,
        read_answer=read_answer,
        writer=TelegramWriter,
        write_answer=write_answer,
    ),
    path=PATH,
    paths=(ApiPath(PATH, frozenset({"POST"}), "chat", parse=parse, dialect=NAME),),
)
