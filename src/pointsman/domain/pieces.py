"""The common form of an answer: the pieces in the order in which they arrive, whole or streamed.

A reader of a provider's dialect makes pieces, and a writer of the client's dialect makes bytes of them. A piece holds
any part of a text, so a stream may be cut anywhere. An answer that arrives in one body is a list of the same pieces.
"""

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from pointsman.domain.outcomes import Usage

# `stop`: the model has ended its turn. `stop_sequence`: a text of `stop` was reached. `length`: the bound, or the
# context, was reached. `tool_calls`: the model waits for results. `content_filter`: a filter ended the answer.
# `refusal`: the model refused. `pause`: the provider paused a long turn, which the client may continue.
FinishReason = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause"]


class Start(Struct, frozen=True, gc=False):
    """The beginning of an answer: the provider's id of it, and the model that the provider names."""

    id: str = ""
    model: str = ""


class TextPiece(Struct, frozen=True, gc=False):
    """A part of the text. `begins` says that a new block of text begins with it. `logprobs` is the JSON list of its
    tokens with their log probabilities, whose elements are alike in both of OpenAI's dialects."""

    text: str
    begins: bool = False
    logprobs: Raw | None = None


class CitationPiece(Struct, frozen=True, gc=False):
    """A source of the text so far. `raw` is the citation in the dialect `origin`. `url`, `title`, `start` and `end`
    (in characters of all texts of the answer) are set for a web page."""

    raw: Raw
    origin: str
    url: str = ""
    title: str = ""
    start: int = 0
    end: int = 0


class ReasoningPiece(Struct, frozen=True, gc=False):
    """A part of the reasoning, or of its summary. `begins` says that a new block of reasoning begins with it."""

    text: str
    begins: bool = False


class SignaturePiece(Struct, frozen=True, gc=False):
    """The proof of the reasoning so far, for its author only: a signature or encrypted content. `origin` is the
    author's dialect. If `is_redacted`, `signature` is a whole block of reasoning that only the author can read. `id` is
    the author's id of the block."""

    signature: str
    origin: str
    is_redacted: bool = False
    id: str = ""


class RefusalPiece(Struct, frozen=True, gc=False):
    """A part of the text in which the model refuses."""

    text: str


class ToolBegin(Struct, frozen=True, gc=False):
    """The beginning of a call of a tool. `index` counts the calls of an answer from 0."""

    index: int
    id: str
    name: str
    is_custom: bool = False


class ToolArguments(Struct, frozen=True, gc=False):
    """A part of the arguments of a call. Parts of several calls may alternate."""

    index: int
    text: str


class AudioPiece(Struct, frozen=True, gc=False):
    """A part of spoken output, as the provider's JSON object."""

    raw: Raw


class Finish(Struct, frozen=True, gc=False):
    """The end of the content. `stop_sequence` is the text that ended it. `details` is the provider's explanation of a
    refusal."""

    reason: FinishReason
    stop_sequence: str = ""
    details: Raw | None = None


class UsagePiece(Struct, frozen=True, gc=False):
    """The usage so far; a later one replaces it. A partial one lacks tokens of the answer."""

    usage: Usage
    is_partial: bool = False


class Failed(Struct, frozen=True, gc=False):
    """The provider reported an error inside its answer. `body` is the JSON object of the error, in the shape of the
    provider's error bodies."""

    body: bytes


class Done(Struct, frozen=True, gc=False):
    """The end of the answer: no piece follows."""


Piece: TypeAlias = (
    Start
    | TextPiece
    | CitationPiece
    | ReasoningPiece
    | SignaturePiece
    | RefusalPiece
    | ToolBegin
    | ToolArguments
    | AudioPiece
    | Finish
    | UsagePiece
    | Failed
    | Done
)

# Pieces that a client sees as content: after the first of them, no other provider may answer.
CONTENT = (TextPiece, ReasoningPiece, SignaturePiece, RefusalPiece, ToolBegin, ToolArguments, AudioPiece, CitationPiece)
