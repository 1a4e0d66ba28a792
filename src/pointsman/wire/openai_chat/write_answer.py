"""Write an answer in OpenAI's chat dialect.

https://platform.openai.com/docs/api-reference/chat/object, …/chat-streaming

Reasoning is written twice: as `reasoning_content`, which most clients show, and as `reasoning_details` with its
signature (`_reasoning`). A client that sends its message back as it came, or only the details, returns the signature.
Citations of documents have no form in this dialect, so only those of web pages are written. A client that sent
`functions` instead of `tools` gets the older `function_call`, for the first call.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    AudioPiece,
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
from pointsman.wire.errors import error_event
from pointsman.wire.json_object import encode_object, is_empty, read_or
from pointsman.wire.openai_chat._reasoning import NAME, TEXT, ReasoningDetail, detail_of, merged

Fields = dict[str, object]

_DONE = b"data: [DONE]\n\n"
_GAP = "\n\n"  # between blocks of reasoning in its plain text
_NO_FIELDS: dict[str, Raw] = {}
_REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "length",  # the answer is incomplete
}
# https://platform.openai.com/docs/api-reference/chat/object (`service_tier`); the others have no name there.
_TIERS = {tier: tier for tier in ("auto", "default", "flex", "scale", "priority", "fast")} | {"standard": "default"}
_RAWS = msgspec.json.Decoder(list[Raw])


class _ChatUsageDetails(Struct, omit_defaults=True):
    cached_tokens: int | None = None
    cache_write_tokens: int = 0
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int = 0


class _ChatUsage(Struct, omit_defaults=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _ChatUsageDetails
    completion_tokens_details: _ChatUsageDetails
    server_tool_use: dict[str, int] | None = None


def _usage(usage: Usage) -> _ChatUsage:
    """Return the usage object, with the tools' part as OpenRouter writes it."""
    return _ChatUsage(
        prompt_tokens=usage.tokens_in,
        completion_tokens=usage.tokens_out,
        total_tokens=usage.tokens_in + usage.tokens_out,
        prompt_tokens_details=_ChatUsageDetails(
            cached_tokens=usage.tokens_cached,
            cache_write_tokens=usage.tokens_cache_write + usage.tokens_cache_write_1h,
            audio_tokens=usage.audio_in,
            image_tokens=usage.image_in,
        ),
        completion_tokens_details=_ChatUsageDetails(
            reasoning_tokens=usage.tokens_reasoning,
            audio_tokens=usage.audio_out,
            image_tokens=usage.image_out,
        ),
        server_tool_use={f"{name}_requests": count for name, count in usage.tools} if usage.tools else None,
    )


class _ChatAnswerFacts:
    """The facts of an answer that both of its forms need: its head, its finish and its blocks of reasoning."""

    def __init__(self, call: Call, now_unix_s: float) -> None:
        self.id = f"chatcmpl-{int(now_unix_s * 1e6):x}"
        self.model = call.model
        self.created = int(now_unix_s)
        functions = call.fields.get("functions")
        self.is_legacy = functions is not None and not is_empty(functions)
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.has_calls = self.has_refusal = False
        self._block = -1  # the index of the newest block of reasoning
        self._is_open = False  # so the next text continues it
        self._has_reasoned = False

    def note(self, piece: Piece) -> None:
        """Keep the facts of a piece that is no content."""
        if isinstance(piece, Start):
            self.id, self.model = piece.id or self.id, piece.model or self.model
        elif isinstance(piece, Finish):
            self.finish = self.finish or piece.reason
        elif isinstance(piece, UsagePiece):
            self.usage = piece.usage

    def reasoning(self, piece: ReasoningPiece) -> tuple[str, ReasoningDetail]:
        """Return the plain text of a piece of reasoning, and its detail."""
        is_new = piece.begins or not self._is_open
        gap = _GAP if is_new and self._has_reasoned else ""
        self._block += is_new
        self._is_open = self._has_reasoned = True
        return gap + piece.text, ReasoningDetail(TEXT, piece.text, index=self._block)

    def signature(self, piece: SignaturePiece) -> ReasoningDetail | None:
        """Return the detail that shows a signature."""
        detail = detail_of(piece.signature, piece.origin, piece.id, piece.is_redacted)
        if detail is None:
            self._is_open = False
            return None
        if detail.is_encrypted or not self._is_open:
            self._block += 1
        self._is_open = False
        detail.index = self._block
        return detail

    def reason(self) -> str:
        """Return the finish reason. Every answer that ends has one."""
        if self.finish in {None, "tool_calls"} and self.has_calls:
            return "function_call" if self.is_legacy else "tool_calls"
        if self.finish == "refusal" and self.has_refusal:
            return "stop"  # as OpenAI does beside the text of a refusal
        return _REASONS[self.finish or "stop"]


class ChatWriter:
    """A `PieceWriter` of one answer."""

    def __init__(self, call: Call, now_unix_s: float) -> None:
        self._answer = _ChatAnswerFacts(call, now_unix_s)
        self._wants_usage = call.wants_usage
        self._head = self._tail = b""  # of a chunk, around its delta
        self._has_finished = False
        self._customs: set[int] = set()  # indices of the calls of custom tools
        self._annotations: list[object] = []
        self._silent: set[int] = set()  # and of the other calls that have no arguments yet, which must be JSON

    def write(self, pieces: Sequence[Piece]) -> bytes:
        return b"".join(self._event(piece) for piece in pieces)

    def error(self, failure: Failure, request_id: str) -> bytes:
        return error_event(failure, request_id)

    def _event(self, piece: Piece) -> bytes:
        answer = self._answer
        if isinstance(piece, Start):
            if self._head:
                return b""
            answer.note(piece)
            return self._begin()
        if isinstance(piece, UsagePiece):
            answer.note(piece)
            return b""
        before = b"" if self._head else self._begin()
        if isinstance(piece, Finish):
            answer.note(piece)
            return before + self._finish()
        if isinstance(piece, Done):
            return before + self._end()
        delta, logprobs = self._delta(piece)
        return before + self._chunk(delta, logprobs) if delta else before

    def _begin(self) -> bytes:
        """Return the first chunk, which has the role."""
        answer = self._answer
        fixed = {"id": answer.id, "object": "chat.completion.chunk", "created": answer.created, "model": answer.model}
        self._head = b"data: " + encode_object(fixed)[:-1]
        self._tail = b',"usage":null}\n\n' if self._wants_usage else b"}\n\n"
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _chunk(self, delta: Fields, logprobs: Fields | None = None, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return b'%b,"choices":[%b]%b' % (self._head, encode_object(choice), self._tail)

    def _finish(self) -> bytes:
        if self._has_finished:
            return b""
        self._has_finished = True
        missing = b"".join(self._chunk(self._call(ToolArguments(index, "{}"))) for index in sorted(self._silent))
        return missing + self._cited() + self._chunk({}, reason=self._answer.reason())

    def _cited(self) -> bytes:
        """Return the one chunk with all citations. Official SDKs raise on a second list of them."""
        found, self._annotations = self._annotations, []
        return self._chunk({"annotations": found}) if found else b""

    def _end(self) -> bytes:
        finish = self._finish()
        finish, usage = finish + self._cited(), self._answer.usage
        if not self._wants_usage or usage is None:
            return finish + _DONE
        more: Fields = {"choices": [], "usage": _usage(usage)}
        if usage.tier in _TIERS:
            more["service_tier"] = _TIERS[usage.tier]
        return b"%b%b,%b\n\n%b" % (finish, self._head, encode_object(more)[1:], _DONE)

    def _delta(self, piece: Piece) -> tuple[Fields, Fields | None]:
        """Return the delta of a piece of content, empty if it has none, and its log probabilities."""
        answer = self._answer
        if isinstance(piece, TextPiece):
            tokens = None if piece.logprobs is None else _logprobs([piece.logprobs])
            return {"content": piece.text}, tokens
        if isinstance(piece, ReasoningPiece):
            text, detail = answer.reasoning(piece)
            return {"reasoning_content": text, "reasoning_details": [detail]}, None
        if isinstance(piece, SignaturePiece):
            shown = answer.signature(piece)
            return ({} if shown is None else {"reasoning_details": [shown]}), None
        if isinstance(piece, RefusalPiece):
            answer.has_refusal = True
            return {"refusal": piece.text}, None
        if isinstance(piece, ToolBegin | ToolArguments):
            return self._call(piece), None
        if isinstance(piece, CitationPiece):
            annotation = _annotation(piece)
            self._annotations += [] if annotation is None else [annotation]
            return {}, None
        if isinstance(piece, AudioPiece):
            return {"audio": piece.raw}, None
        return {}, None  # the caller ends a stream whose provider failed

    def _call(self, piece: ToolBegin | ToolArguments) -> Fields:
        self._answer.has_calls = True
        if isinstance(piece, ToolArguments):
            self._silent.discard(piece.index)
        elif not piece.is_custom:
            self._silent.add(piece.index)
        if self._answer.is_legacy:
            if piece.index:
                self._silent.discard(piece.index)
                return {}
            if isinstance(piece, ToolBegin):
                return {"function_call": {"name": piece.name, "arguments": ""}}
            return {"function_call": {"arguments": piece.text}}
        if isinstance(piece, ToolBegin):
            if piece.is_custom:
                self._customs.add(piece.index)
            return {"tool_calls": [{"index": piece.index, **_tool_call(piece, "")}]}
        part = (
            {"custom": {"input": piece.text}}
            if piece.index in self._customs
            else {"function": {"arguments": piece.text}}
        )
        return {"tool_calls": [{"index": piece.index, **part}]}


def _tool_call(begin: ToolBegin, arguments: str) -> Fields:
    if begin.is_custom:
        return {"id": begin.id, "type": "custom", "custom": {"name": begin.name, "input": arguments}}
    return {"id": begin.id, "type": "function", "function": {"name": begin.name, "arguments": arguments}}


def _annotation(piece: CitationPiece) -> object:
    """Return a citation of a web page, or `None` for any other."""
    if piece.origin == NAME:
        return piece.raw
    if not piece.url:
        return None
    page = {"url": piece.url, "title": piece.title, "start_index": piece.start, "end_index": piece.end}
    return {"type": "url_citation", "url_citation": page}


def _logprobs(lists: Iterable[Raw]) -> Fields:
    return {"content": [token for one in lists for token in read_or(_RAWS, one, [])], "refusal": None}


class _WholeChatAnswer(_ChatAnswerFacts):
    """A whole answer that is put together."""

    def __init__(self, call: Call, now_unix_s: float) -> None:
        super().__init__(call, now_unix_s)
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.thoughts: list[str] = []
        self.details: list[ReasoningDetail] = []
        self.begun: dict[int, ToolBegin] = {}
        self.arguments: dict[int, list[str]] = {}
        self.annotations: list[object] = []
        self.tokens: list[Raw] = []
        self.audio: list[Raw] = []

    def add(self, piece: Piece) -> None:
        if isinstance(piece, TextPiece):
            self.texts.append(piece.text)
            if piece.logprobs is not None:
                self.tokens.append(piece.logprobs)
        elif isinstance(piece, ReasoningPiece):
            text, detail = self.reasoning(piece)
            self.thoughts.append(text)
            self.details.append(detail)
        elif isinstance(piece, SignaturePiece):
            shown = self.signature(piece)
            if shown is not None:
                self.details.append(shown)
        elif isinstance(piece, RefusalPiece):
            self.has_refusal = True
            self.refusals.append(piece.text)
        elif isinstance(piece, ToolBegin):
            self.has_calls = True
            self.begun[piece.index] = piece
        elif isinstance(piece, ToolArguments):
            self.arguments.setdefault(piece.index, []).append(piece.text)
        elif isinstance(piece, CitationPiece):
            annotation = _annotation(piece)
            if annotation is not None:
                self.annotations.append(annotation)
        elif isinstance(piece, AudioPiece):
            self.audio.append(piece.raw)
        else:
            self.note(piece)

    def message(self) -> Fields:
        calls = [
            _tool_call(begin, "".join(self.arguments.get(index, ())) or ("" if begin.is_custom else "{}"))
            for index, begin in sorted(self.begun.items())
        ]
        text = "".join(self.texts)
        has_other = bool(calls or self.refusals or self.audio)
        message: Fields = {
            "role": "assistant",
            "content": None if has_other and not self.texts else text,
            "refusal": "".join(self.refusals) or None,
        }
        if self.thoughts:
            message["reasoning_content"] = "".join(self.thoughts)
        if self.details:
            message["reasoning_details"] = merged(self.details)
        if calls and self.is_legacy:
            message["function_call"] = calls[0].get("function")
        elif calls:
            message["tool_calls"] = calls
        if self.annotations:
            message["annotations"] = self.annotations
        if self.audio:
            message["audio"] = _audio(self.audio)
        return message

    def body(self) -> bytes:
        choice = {
            "index": 0,
            "message": self.message(),
            "logprobs": _logprobs(self.tokens) if self.tokens else None,
            "finish_reason": self.reason(),
        }
        fields: Fields = {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }
        if self.usage is not None:
            fields["usage"] = _usage(self.usage)
            if self.usage.tier in _TIERS:
                fields["service_tier"] = _TIERS[self.usage.tier]
        return encode_object(fields)


_TEXTS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)


def _audio(parts: Sequence[Raw]) -> object:
    """Return the parts of spoken output as one object. `data` and `transcript` are cut, and the other fields are not.
    Each part of the data is whole base64."""
    if len(parts) == 1:
        return parts[0]
    whole: Fields = {}
    for fields in (read_or(_TEXTS, part, _NO_FIELDS) for part in parts):
        for name, raw in fields.items():
            before = whole.get(name)
            is_cut = name in {"data", "transcript"} and isinstance(before, str)
            whole[name] = f"{before}{read_or(_TEXT, raw, '')}" if is_cut else _cut_text(name, raw)
    return whole


def _cut_text(name: str, raw: Raw) -> object:
    return read_or(_TEXT, raw, "") if name in {"data", "transcript"} else raw


def writer(call: Call, now_unix_s: float) -> ChatWriter:
    """Return a writer of a streamed answer."""
    return ChatWriter(call, now_unix_s)


def write_answer(call: Call, now_unix_s: float, pieces: Sequence[Piece]) -> bytes:
    """Return the body of a whole answer."""
    whole = _WholeChatAnswer(call, now_unix_s)
    for piece in pieces:
        whole.add(piece)
    return whole.body()
