"""Read an answer in OpenAI's chat dialect, from OpenAI and from the servers that copied it.

https://platform.openai.com/docs/api-reference/chat/object, …/chat-streaming. Differences that are tolerated:

- Reasoning is `reasoning_content`, `reasoning`, `reasoning_details` or a part of type `thinking` (`_reasoning`;
  https://docs.mistral.ai/capabilities/reasoning).
- Calls of tools come without an index, without an id, with an index that several of them share, or with an object as
  their arguments.
- Fields that an answer does not need are empty: an older `function_call`, a `custom` call beside the function, and
  `audio`, which is not read without sound or text (Snowflake).
- The finish reason is `stop` although tools are called, as OpenAI itself does if the client named the tool.
- An error comes as `error`, as an object with a `message` (vLLM), or as the finish reason `error` (OpenRouter).

Only the first of several choices is read: no conversation is written that requests more.
"""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    AudioPiece,
    CitationPiece,
    Done,
    Failed,
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
from pointsman.wire.json_object import encode_object, is_empty, read_leniently, read_or
from pointsman.wire.openai_chat._reasoning import (
    NAME,
    PLAIN,
    ReasoningDetail,
    plain_proof,
    proof,
    read_details,
    signature_of,
)
from pointsman.wire.usage import Tokens, read_usage

_ABSENT = Raw(b"")  # of fields that most events lack; comparing by identity saves a call for each
_NO_REASONING = (_ABSENT, _ABSENT, _ABSENT)
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # of Mistral, for the context
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "refusal",
}
# The answer is broken off: OpenRouter's, vLLM's, and https://api-docs.deepseek.com/api/create-chat-completion
_FAILED = frozenset({"error", "abort", "insufficient_system_resource"})
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class _AnsweredFunction(Struct, gc=False):
    name: str | None = None
    arguments: Raw = _ABSENT
    input: Raw = _ABSENT


class _AnsweredCall(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _AnsweredFunction | None = None
    custom: _AnsweredFunction | None = None


class _AnsweredMessage(Struct, gc=False):
    """A `message`, or a part of one: a `delta`."""

    content: Raw = _ABSENT
    refusal: str | None = None
    reasoning_content: Raw = _ABSENT
    reasoning: Raw = _ABSENT
    reasoning_details: Raw = _ABSENT
    tool_calls: list[_AnsweredCall] | None = None
    function_call: _AnsweredFunction | None = None
    annotations: Raw = _ABSENT
    audio: Raw = _ABSENT


class _AnsweredAudio(Struct, gc=False):
    id: str | None = ""
    data: str | None = ""
    transcript: str | None = ""


class _AnsweredChoice(Struct, gc=False):
    index: int | None = 0
    delta: _AnsweredMessage | None = None
    message: _AnsweredMessage | None = None
    finish_reason: str | None = None
    logprobs: Raw = _ABSENT
    error: Raw = _ABSENT


class _ChatAnswer(Struct, gc=False):
    id: str | int | None = None
    model: str | None = None
    choices: list[_AnsweredChoice] | None = None
    usage: Raw = _ABSENT
    error: Raw = _ABSENT
    message: Raw = _ABSENT
    service_tier: str | None = None


class _ChatPage(Struct, gc=False):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class _ChatAnnotation(Struct, gc=False):
    type: str = ""
    url_citation: _ChatPage | None = None


class _ChatThought(Struct, gc=False):
    type: str = ""
    text: str = ""


class _AnsweredPart(Struct, gc=False):
    """A part of a content that is a list, as Mistral's."""

    type: str = ""
    text: str = ""
    thinking: list[_ChatThought] | str | None = None


class _ChatLogProbs(Struct, gc=False):
    content: Raw = _ABSENT


class _CacheWriteTokens(Struct, gc=False):
    cache_write_tokens: Tokens | None = None


class _CacheWriteUsage(Struct, gc=False):
    prompt_tokens_details: _CacheWriteTokens | None = None


_ANSWER = msgspec.json.Decoder(_ChatAnswer)
_AUDIO = msgspec.json.Decoder(_AnsweredAudio)
_TEXT = msgspec.json.Decoder(str)
_MAYBE_TEXT = msgspec.json.Decoder(str | None)
_PARTS = msgspec.json.Decoder(list[_AnsweredPart])
_RAWS = msgspec.json.Decoder(list[Raw])
_ANNOTATION = msgspec.json.Decoder(_ChatAnnotation)
_LOGPROBS = msgspec.json.Decoder(_ChatLogProbs)
_CACHE_WRITES = msgspec.json.Decoder(_CacheWriteUsage)
_NO_TEXT: str | None = None


class _OpenChatCall(Struct):
    """A call of a tool whose parts arrive. `waiting` are arguments that came before its name."""

    index: int
    id: str = ""
    name: str = ""
    is_custom: bool = False
    waiting: str = ""
    has_begun: bool = False


class ChatReader:
    """A `PieceReader` of one answer."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._calls: list[_OpenChatCall] = []
        self._by_index: dict[int, _OpenChatCall] = {}
        self._unsigned = ""  # the proof of an open block of reasoning that has no signature yet
        self._unsigned_id = ""
        self._block: tuple[str, int | None] | None = None  # the open block of reasoning
        self._has_text = self._has_refusal = self._is_finished = self._is_done = False

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:  # noqa: ARG002
        if self._is_done:
            return ()
        if data.strip() == b"[DONE]":
            return self._done()
        return self._read(data)

    def read_whole(self, body: bytes) -> Sequence[Piece]:
        """Return the pieces of an answer in one body."""
        found = self._read(body)
        if not any(isinstance(piece, Start | Failed) for piece in found):
            raise msgspec.ValidationError("The answer has no choices")
        return [*found, *self._done()]

    def _done(self) -> list[Piece]:
        self._is_done = True
        return [*self._close_reasoning(), Done()]

    def _read(self, data: bytes) -> list[Piece]:
        answer = read_leniently(_ANSWER, data)
        if answer.error is not _ABSENT and not is_empty(answer.error):
            return [Failed(_error_body(answer.error))]
        if answer.choices is None and not is_empty(answer.message):  # an error that is not wrapped in `error`
            return [Failed(data)]
        pieces: list[Piece] = []
        if self._id is None and answer.choices:
            self._id = str(answer.id or "")
            pieces.append(Start(self._id, answer.model or ""))
        for choice in answer.choices or ():
            if choice.index:
                continue
            if choice.error is not _ABSENT and not is_empty(choice.error):
                return [*pieces, Failed(_error_body(choice.error))]
            message = choice.delta or choice.message
            if message is not None:
                self._read_message(message, choice.logprobs, pieces)
            if choice.finish_reason in _FAILED:
                said = f"the provider ended its answer with the finish reason {choice.finish_reason!r}"
                error = {"message": said, "type": "server_error", "code": choice.finish_reason}
                return [*pieces, Failed(encode_object({"error": error}))]
            if choice.finish_reason:
                pieces += self._close_reasoning()
                pieces += self._finish(choice.finish_reason)
        usage = None if answer.usage is _ABSENT else _usage(answer.usage, answer.service_tier)
        if usage is not None:
            pieces.append(UsagePiece(usage))
        return pieces

    def _finish(self, said: str) -> list[Piece]:
        if self._is_finished:
            return []
        self._is_finished = True
        reason = _REASONS.get(said, "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        elif reason == "stop" and self._has_refusal:
            reason = "refusal"
        return [Finish(reason)]

    def _read_message(self, message: _AnsweredMessage, logprobs: Raw, pieces: list[Piece]) -> None:
        if (message.reasoning_details, message.reasoning_content, message.reasoning) != _NO_REASONING:
            self._read_reasoning(message, pieces)
        self._read_content(message.content, logprobs, pieces)
        if message.refusal:
            self._has_refusal = True
            pieces += [*self._close_reasoning(), RefusalPiece(message.refusal)]
        for call in message.tool_calls or ():
            pieces += self._close_reasoning()
            self._read_call(call, pieces)
        older = message.function_call
        if older is not None and (older.name or _arguments(older.arguments)):
            pieces += self._close_reasoning()
            self._read_call(_AnsweredCall(0, function=older), pieces)
        if message.annotations is not _ABSENT and not is_empty(message.annotations):
            pieces += _citations(message.annotations)
        if not is_empty(message.audio) and read_or(_AUDIO, message.audio, _AnsweredAudio("?")) != _AnsweredAudio():
            pieces.append(AudioPiece(Raw(bytes(message.audio))))

    def _read_content(self, content: Raw, logprobs: Raw, pieces: list[Piece]) -> None:
        if is_empty(content):
            return
        tokens = None
        if not is_empty(logprobs):
            listed = read_or(_LOGPROBS, logprobs, _ChatLogProbs()).content
            tokens = None if is_empty(listed) else Raw(bytes(listed))
        if memoryview(content)[0] == 0x22:
            self._add_text(read_leniently(_TEXT, bytes(content)), tokens, pieces)
            return
        for part in read_leniently(_PARTS, bytes(content)):
            if part.type == "text" and part.text:
                self._add_text(part.text, tokens, pieces)
                tokens = None
            elif part.type == "thinking":
                thoughts = part.thinking if isinstance(part.thinking, str) else ""
                thoughts += "".join(one.text for one in part.thinking or () if isinstance(one, _ChatThought))
                self._add_plain(thoughts, "thinking", pieces)

    def _add_text(self, text: str, tokens: Raw | None, pieces: list[Piece]) -> None:
        pieces += self._close_reasoning()
        pieces.append(TextPiece(text, not self._has_text, tokens))
        self._has_text = True

    def _read_reasoning(self, message: _AnsweredMessage, pieces: list[Piece]) -> None:
        details = [] if is_empty(message.reasoning_details) else read_details(message.reasoning_details)
        for detail in details:
            self._add_detail(detail, pieces)
        if not details:
            for name, raw in zip(PLAIN, (message.reasoning_content, message.reasoning), strict=True):
                text = None if is_empty(raw) else read_or(_MAYBE_TEXT, raw, _NO_TEXT)
                if text:
                    self._add_plain(text, name, pieces)
                    break

    def _add_plain(self, text: str, field: str, pieces: list[Piece]) -> None:
        if text:
            block = (field, None)
            begins = self._block != block
            if begins:
                pieces += self._close_reasoning()
            pieces.append(ReasoningPiece(text, begins))
            self._block, self._unsigned = block, plain_proof(field)

    def _add_detail(self, detail: ReasoningDetail, pieces: list[Piece]) -> None:
        if detail.is_encrypted:
            pieces += self._close_reasoning()
            if detail.data:
                signature, origin = signature_of(detail)
                pieces.append(SignaturePiece(signature, origin, is_redacted=True, id=detail.id or ""))
            return
        block = (detail.kind, detail.index)
        if self._block != block:
            if not detail.visible and not detail.signature:
                return
            pieces += self._close_reasoning()
        if detail.visible:
            pieces.append(ReasoningPiece(detail.visible, self._block != block))
            self._block, self._unsigned = block, proof(detail, "")
            self._unsigned_id = detail.id or ""
        if detail.signature:
            signature, origin = signature_of(detail)
            pieces.append(SignaturePiece(signature, origin, id=detail.id or self._unsigned_id))
            self._unsigned, self._unsigned_id = "", ""
            self._block = block

    def _close_reasoning(self) -> list[Piece]:
        """Return the proof of an open block that has none but its form: it brings the block back to its author."""
        if self._block is None and not self._unsigned:
            return []
        proof_of_form, own_id = self._unsigned, self._unsigned_id
        self._unsigned, self._unsigned_id, self._block = "", "", None
        return [SignaturePiece(proof_of_form, NAME, id=own_id)] if proof_of_form else []

    def _read_call(self, call: _AnsweredCall, pieces: list[Piece]) -> None:
        is_custom = call.type == "custom" or call.function is None
        function = (call.custom if is_custom else call.function) or call.function or _AnsweredFunction()
        found = self._open(call, function.name or "")
        found.id = found.id or call.id or ""
        found.name = found.name or function.name or ""
        found.is_custom = found.is_custom or (is_custom and call.custom is not None) or call.type == "custom"
        text = found.waiting + _arguments(function.input if found.is_custom else function.arguments)
        if not found.name:
            found.waiting = text
            return
        if not found.has_begun:
            found.has_begun, found.waiting = True, ""
            own_id = found.id or f"call_{_UNFIT.sub('', self._id or '')[-24:]}_{found.index}"
            pieces.append(ToolBegin(found.index, own_id, found.name, found.is_custom))
        if text:
            pieces.append(ToolArguments(found.index, text))

    def _open(self, call: _AnsweredCall, name: str) -> _OpenChatCall:
        """Return the call that a part belongs to. A part with another id and a name begins a call of its own, even
        under an index that is taken."""
        found: _OpenChatCall | None = None
        if call.index is not None:
            found = self._by_index.get(call.index)
            if found is not None and name and call.id and found.id and call.id != found.id:
                found = None
        elif call.id:
            found = next((one for one in self._calls if one.id == call.id), None)
        elif self._calls and not name:
            found = self._calls[-1]
        if found is None:
            found = _OpenChatCall(len(self._calls))
            self._calls.append(found)
            if call.index is not None:
                self._by_index[call.index] = found
        return found


def reader() -> ChatReader:
    """Return a reader of a streamed answer."""
    return ChatReader()


def read_answer(body: bytes) -> Sequence[Piece]:
    """Return the pieces of a whole answer. Raises one of `json_object.UNREADABLE`."""
    return ChatReader().read_whole(body)


def _error_body(error: Raw) -> bytes:
    return b'{"error":%b}' % bytes(error)


def _arguments(raw: Raw) -> str:
    """Return the text of arguments. Some servers send an object instead of its text."""
    if is_empty(raw):
        return "{}" if bytes(raw) == b"{}" else ""
    value = bytes(raw)
    return read_leniently(_TEXT, value) if value[:1] == b'"' else value.decode()


def _citations(annotations: Raw) -> list[Piece]:
    found: list[Piece] = []
    for raw in read_or(_RAWS, annotations, []):
        own = Raw(bytes(raw))
        page = read_or(_ANNOTATION, raw, _ChatAnnotation()).url_citation
        if page is None:
            found.append(CitationPiece(own, NAME))
        else:
            start, end = page.start_index or 0, page.end_index or 0
            found.append(CitationPiece(own, NAME, page.url, page.title or "", start=start, end=end))
    return found


def _usage(raw: Raw, tier: str | None) -> Usage | None:
    """Return the usage with the tokens that were written to a cache.
    https://openrouter.ai/docs/guides/guides/usage-accounting"""
    found = read_usage(raw, tier)
    if found is None:
        return None
    details = read_or(_CACHE_WRITES, raw, _CacheWriteUsage()).prompt_tokens_details
    writes = details.cache_write_tokens if details is not None else None
    return msgspec.structs.replace(found, tokens_cache_write=writes) if writes else found
