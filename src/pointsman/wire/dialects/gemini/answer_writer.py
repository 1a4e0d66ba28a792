"""Write answers in Gemini's dialect, streamed and whole.

https://ai.google.dev/api/generate-content#GenerateContentResponse. An event of a stream has the shape of a whole
answer. A call of a function is one part, so it is written when its arguments are complete, and all content behind it
waits. The last event has the reason for the end and the usage. A refusal is text. Spoken output has no place.
"""

from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Finish,
    FinishReason,
    Piece,
    ReasoningPiece,
    RefusalPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.gemini._contents import Fields
from pointsman.wire.dialects.gemini._signatures import CALL, NAME, TEXT, THOUGHT, Proof, place_of, shown
from pointsman.wire.dialects.gemini.failed import error_event
from pointsman.wire.dialects.gemini.usage import written_usage
from pointsman.wire.json_object import encode_object, read_or
from pointsman.wire.tool_calls import OpenCall, tool_input

_REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
}


class _Logprob(Struct, gc=False):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list["_Logprob"] = []


_LOGPROBS = msgspec.json.Decoder(list[_Logprob])


class _Made(Struct, gc=False):
    """A part of an answer, with the log probabilities of its tokens."""

    part: Fields
    logprobs: Raw | None = None


class _Parts:
    """Makes parts of pieces, in their order. A call comes when it is complete."""

    def __init__(self) -> None:
        self.ending = Finish("stop")
        self.usage = Usage()
        self.start = Start()
        self.citations: list[Fields] = []
        self._calls: dict[int, OpenCall] = {}
        self._signatures: dict[str, str] = {}  # of calls that follow, by their ids
        self._waiting: deque[Piece] = deque()

    def add(self, piece: Piece) -> list[_Made]:
        """Return the parts that a piece completes."""
        match piece:
            case Start():
                self.start = piece
            case UsagePiece():
                self.usage = piece.usage
            case Finish():
                self.ending = piece
            case CitationPiece():
                if piece.url:
                    self.citations.append({"startIndex": piece.start, "endIndex": piece.end, "uri": piece.url})
            case ToolArguments():
                if piece.index in self._calls:
                    self._calls[piece.index].arguments.append(piece.text)
            case _:
                if isinstance(piece, ToolBegin):
                    self._calls[piece.index] = OpenCall(piece.id, piece.name, [])
                self._waiting.append(piece)
                return self._release()
        return []

    def end(self) -> list[_Made]:
        """Return the parts that have waited. Every call counts as complete."""
        made = self._release(ends=True)
        left = [shown(Proof(placed, NAME)) for placed in self._signatures.values()]
        return made + [_Made(_thought("", signature)) for signature in left]

    def _release(self, *, ends: bool = False) -> list[_Made]:
        found: list[_Made] = []
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, ToolBegin) and not (ends or self._calls[first.index].is_complete()):
                break
            piece = self._waiting.popleft()
            logprobs = piece.logprobs if isinstance(piece, TextPiece) else None
            found += [_Made(part, logprobs) for part in self._part(piece)]
        return found

    def _part(self, piece: Piece) -> list[Fields]:
        match piece:
            case TextPiece() | RefusalPiece():
                return [{"text": piece.text}] if piece.text else []
            case ReasoningPiece():
                return [{"text": piece.text, "thought": True}] if piece.text else []
            case SignaturePiece():
                return self._signature(piece)
            case ToolBegin():
                call = self._calls[piece.index]
                made = {"id": call.id, "name": call.name, "args": tool_input("".join(call.arguments))}
                _, _, signature = place_of(self._signatures.pop(call.id, ""))
                return [{"functionCall": made, "thoughtSignature": signature} if signature else {"functionCall": made}]
        return []

    def _signature(self, piece: SignaturePiece) -> list[Fields]:
        kind, call_id, signature = place_of(piece.signature)
        if piece.origin != NAME or piece.is_redacted or kind not in (CALL, TEXT, THOUGHT) or not signature:
            return [_thought("", shown(Proof(piece.signature, piece.origin, piece.id, piece.is_redacted)))]
        if kind == CALL:
            self._signatures[call_id] = piece.signature
            return []
        return [_thought("", signature) if kind == THOUGHT else {"text": "", "thoughtSignature": signature}]


def _thought(text: str, signature: str) -> Fields:
    return {"text": text, "thought": True, "thoughtSignature": signature}


class GenerateWriter:
    """Writes one streamed answer."""

    def __init__(self, call: Call, now: float) -> None:
        self._call = call
        self._now = now
        self._parts = _Parts()
        self._is_done = False

    def write(self, pieces: Sequence[Piece]) -> bytes:
        """Return the events that these pieces complete."""
        out: list[bytes] = []
        for piece in pieces:
            if self._is_done:
                break
            if isinstance(piece, Done):
                self._is_done = True
                out.append(self._end())
                continue
            out += [self._event([made.part], **_log_probabilities([made])) for made in self._parts.add(piece)]
        return b"".join(out)

    def error(self, failure: Failure, request_id: str) -> bytes:
        """Return the event that ends the stream if it cannot be completed."""
        self._is_done = True
        return error_event(failure, request_id)

    def _end(self) -> bytes:
        found = self._parts
        last = found.end() or [_Made({"text": ""})]
        fields = ended(found.ending, found.citations) | _log_probabilities(last)
        return self._event([made.part for made in last], usageMetadata=written_usage(found.usage), **fields)

    def _event(self, parts: list[Fields], **fields: object) -> bytes:
        answer = written_answer(self._call, self._now, self._parts.start, parts, fields)
        return b"data: %b\n\n" % encode_object(answer)


def ended(finish: Finish, citations: list[Fields]) -> Fields:
    """Return the fields of a candidate at its end."""
    found: Fields = {"finishReason": _REASONS[finish.reason]}
    if citations:
        found["citationMetadata"] = {"citationSources": citations}
    return found


def written_answer(call: Call, now: float, start: Start, parts: list[Fields], fields: Fields) -> Fields:
    """Return an answer with one candidate. `fields` are those of the candidate, and its usage."""
    of_candidate = {name: value for name, value in fields.items() if name != "usageMetadata"}
    candidate = {"content": {"role": "model", "parts": parts}, **of_candidate, "index": 0}
    usage = {"usageMetadata": fields["usageMetadata"]} if "usageMetadata" in fields else {}
    names = {"modelVersion": start.model or call.model, "responseId": start.id or f"{int(now * 1_000):x}"}
    return {"candidates": [candidate], **usage, **names}


def write_answer(call: Call, now: float, pieces: Sequence[Piece]) -> bytes:
    """Return a whole answer. Neighbouring texts are one part, and so are neighbouring thoughts."""
    found, parts = _Parts(), list[Fields]()
    made = [one for piece in pieces for one in found.add(piece)] + found.end()
    for one in made:
        _join(parts, one.part)
    fields = ended(found.ending, found.citations) | _log_probabilities(made)
    fields["usageMetadata"] = written_usage(found.usage)
    return encode_object(written_answer(call, now, found.start, parts, fields))


def _join(parts: list[Fields], part: Fields) -> None:
    """Add a part. One that continues the text of the last, or proves it, is joined to it."""
    last = parts[-1] if parts else {}
    is_text = "text" in part and "text" in last and part.get("thought") == last.get("thought")
    if not is_text or "thoughtSignature" in last:
        parts.append(part)
        return
    parts[-1] = {**last, **part, "text": f"{last['text']}{part['text']}"}


def _log_probabilities(given: Sequence[_Made]) -> Fields:
    """Return the log probabilities of tokens, which are in OpenAI's shape."""
    tokens = [one for made in given if made.logprobs is not None for one in read_or(_LOGPROBS, made.logprobs, [])]
    if not tokens:
        return {}
    chosen = [_token(one) for one in tokens]
    top = [{"candidates": [_token(other) for other in one.top_logprobs]} for one in tokens]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": top}}


def _token(one: _Logprob) -> Fields:
    return {"token": one.token, "logProbability": one.logprob}
