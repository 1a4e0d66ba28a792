"""Translation between dialects: each dialect has four halves, so dialects add up instead of multiplying.

A request is read by the client's dialect and written by the provider's. An answer is read by the provider's dialect and
written by the client's. The common form between them is that of `domain.conversations` and `domain.pieces`.
"""

from collections.abc import Callable, Container, Sequence
from typing import Protocol

from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Conversation, Thinking, Tool, Written
from pointsman.domain.failures import Failure
from pointsman.domain.pieces import Piece
from pointsman.domain.targets import Candidate
from pointsman.wire.sse import HEARTBEAT


class PieceReader(Protocol):
    """Reads the events of one streamed answer of a provider."""

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:
        """Return the pieces in one event. `data` is its data, and `event` its bytes, with its name. Raises one of
        `json_object.UNREADABLE` for an event that cannot be read."""
        ...


class PieceWriter(Protocol):
    """Writes one streamed answer for a client."""

    def write(self, pieces: Sequence[Piece]) -> bytes:
        """Return the events that these pieces complete, possibly none. `Done` ends the stream properly."""
        ...

    def error(self, failure: Failure, request_id: str) -> bytes:
        """Return the events that end the stream if it cannot be completed. Official SDKs raise on them."""
        ...


class Resumption(Protocol):
    """Follows the events of one streamed answer that its client has received, so that another answer can go on."""

    def follow(self, data: bytes) -> None:
        """Take the data of the next event. Raises one of `json_object.UNREADABLE`."""
        ...

    def writer(self) -> PieceWriter:
        """Return a writer that goes on after these events: with the same ids and numbers, and in the open block of
        text."""
        ...


class Resuming(Struct, frozen=True, kw_only=True, eq=False):
    """The means of a dialect to continue an answer that broke off. `follow` makes a `Resumption` for the answer to a
    call. `continued` returns the fields of a request whose last turn is the text so far, so that the model goes on
    with it. They request no reasoning, which would begin the answer anew."""

    follow: Callable[[Call], Resumption]
    continued: Callable[[dict[str, Raw], str], dict[str, Raw]]


def as_they_are(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields of a client's body unchanged."""
    return fields


class ProviderHalves(Struct, frozen=True, kw_only=True, eq=False):
    """The two halves of a dialect that a provider needs: its requests are written, and its answers are read.

    `write_request` writes a conversation, streamed or not, as the body of a request for a provider.
    `reader` makes a reader of a provider's stream, and `read_answer` reads a whole answer. It raises one of
    `json_object.UNREADABLE` for an answer that cannot be read. The pieces of a whole answer end with `Done`; without a
    finish they have no `Finish`.
    `ends_with_finish` says that an answer is whole after its `Finish`, though `Done` is missing.
    `bounds` are the fields for the most tokens of an answer that the provider's codec sets itself, since servers differ
    in the one that they read.
    `holds_many` says that an event of a provider's stream may hold several tokens.
    `calls_freely` says that no request can limit an answer to one call of a tool. The gateway then leaves out the other
    calls, if the client asks for the limit.
    """

    write_request: Callable[[Conversation, bool], Written]
    reader: Callable[[], PieceReader]
    read_answer: Callable[[bytes], Sequence[Piece]]
    ends_with_finish: bool = False
    bounds: tuple[str, ...] = ()
    holds_many: bool = False
    calls_freely: bool = False


class Halves(ProviderHalves, frozen=True, kw_only=True, eq=False):
    """The four halves of a dialect that clients speak too.

    `read_request` reads a client's call. It raises `Rejection` for a body with a wrong shape.
    `writer` makes a writer of a client's stream, from its call and the time in Unix seconds; `write_answer` writes a
    whole answer from the same two and the pieces.
    `own_fields` prepares the fields of a client's body for a provider of the same dialect, which gets them
    untranslated. It leaves out reasoning of other authors, which the provider would reject. Without `resuming`, an
    answer that breaks off is not continued. `heartbeat` are the bytes between events that keep a connection to its
    clients open.
    """

    read_request: Callable[[Call], Conversation]
    writer: Callable[[Call, float], PieceWriter]
    write_answer: Callable[[Call, float, Sequence[Piece]], bytes]
    own_fields: Callable[[dict[str, Raw]], dict[str, Raw]] = as_they_are
    resuming: Resuming | None = None
    heartbeat: bytes = HEARTBEAT


# The client's field that asks for reasoning, by the dialect of its request.
_REASONING = {"anthropic": "thinking", "gemini": "thinkingConfig", "openai-responses": "reasoning"}


def does_reason(item: Candidate, call: Call) -> bool:
    """Return whether the model of a candidate reasons. A model that the catalog does not know is taken for one."""
    facts = call.snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    return facts is None or "reasoning" not in facts.lacks


def translate(client: Halves, provider: ProviderHalves, call: Call, *, reasons: bool) -> Written:
    """Return the body of a call for a provider of another dialect. A request for reasoning is dropped if the model does
    not reason (`does_reason`): it would be rejected. Raises `Rejection` for a call with a wrong shape."""
    conversation = client.read_request(call)
    dropped = conversation.labels
    if not reasons and conversation.thinking != Thinking():
        if conversation.thinking.is_on is not False and conversation.thinking.effort != "none":
            dropped = (*dropped, _REASONING.get(conversation.origin, "reasoning_effort"))
        conversation = replace(conversation, thinking=Thinking())
    written = provider.write_request(conversation, call.stream)
    return replace(written, dropped=(*written.dropped, *dropped)) if dropped else written


VALIDATED = "functionCallingConfig.mode"  # that all arguments fit their schema
OF_GEMINI = frozenset(
    {"safetySettings", "labels", "mediaResolution", "enableEnhancedCivicAnswers"}  # of Gemini's clients
    | {"response", "responseJsonSchema"}  # schemas of the results of functions
    | {"taskType", "title"}  # of a text to be embedded
    | {VALIDATED}
    | {"top_k"}  # Gemini CLI sets one in every request
)
# Constraints in JSON schemas. A dialect without them tells the model in a description.
OF_SCHEMAS = frozenset(
    {"additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames", "dependentRequired"}
    | {"minProperties", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "prefixItems", "contains"}
    | {"not", "if", "then", "else"}
)
OF_REASONING = frozenset({"reasoning_effort", *_REASONING.values()})  # for models that do not reason
# A request may be served without these fields, if no provider has them. Codex and Cursor set `verbosity` by default.
DROPPABLE = frozenset(
    {"seed", "logprobs", "top_logprobs", "user", "metadata", "service_tier", "prompt_cache_key"}
    | {"verbosity"}  # the wished length of an answer
    | {"detail"}  # of an image
    | {"defer_loading"}  # of a tool, which the model then sees at once
    | OF_GEMINI
    | OF_SCHEMAS
    | OF_REASONING
)


_TIERS = frozenset({"", "auto", "default", "standard", "standard_only"})  # of the usual service


def labels_of(conversation: Conversation, tiers: Container[str] = ()) -> list[str]:
    """Return the set fields that only label a request, for a dialect that has none of them. `tiers` are the service
    tiers that it has."""
    tier = conversation.service_tier
    labels = {
        "verbosity": conversation.verbosity not in ("", "medium"),
        "user": bool(conversation.user),
        "metadata": conversation.metadata is not None,
        "service_tier": tier not in _TIERS and tier not in tiers,
        "prompt_cache_key": bool(conversation.prompt_cache_key),
    }
    return [name for name, is_set in labels.items() if is_set] + deferred(conversation.tools)


def dropped_top_k(conversation: Conversation) -> list[str]:
    """Return `top_k` if a dialect without it drops it. Gemini CLI sets one in every request, whatever the model."""
    return ["top_k"] if conversation.origin == "gemini" and conversation.sampling.top_k is not None else []


def deferred(tools: Sequence[Tool]) -> list[str]:
    """Return the dropped field of tools, for a dialect that defers none."""
    return ["defer_loading"] if any(tool.is_deferred for tool in tools) else []


# Reasoning goes back only to its author. In a client's own dialect, a signature of another author begins with this
# mark and the name of the author's dialect.
MARK = "pm."


def mark_signature(signature: str, origin: str, dialect: str) -> str:
    """Return a signature as it is shown to a client that speaks `dialect`. One of another author is marked."""
    return signature if origin == dialect else f"{MARK}{origin}.{signature}"


def read_signature(shown: str, dialect: str) -> tuple[str, str]:
    """Return a signature that a client has sent in `dialect`, and its author's dialect."""
    if not shown.startswith(MARK):
        return shown, dialect
    origin, _, signature = shown.removeprefix(MARK).partition(".")
    return signature, origin
