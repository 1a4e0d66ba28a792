"""The public side of providers: a record for each, with a codec for each operation it supports, and an error table.

Absence means unsupported: an operation without a codec is never routed to the provider, and there are no stubs.

A codec translates one operation. Towards the provider it *encodes* a call into an HTTP request. From the provider it
*decodes*: a whole answer in one step, a stream by a decoder that is fed bytes as they arrive. What comes out is in the
client's dialect: where provider and client speak the same one, that is the provider's own bytes; where they do not,
the decoder holds a writer of the client's dialect and calls it for each piece of content. So dialects and providers
add up instead of multiplying. The recorded streams of other dialects show what a decoder must keep between pieces:
Anthropic sends the prompt's usage in its first event and the answer's in its last but one, and ends with a named
event instead of `[DONE]`; Gemini repeats the whole usage in every event and has no closing event at all. Hence
`usage` may grow while a stream runs, and `close` is told when the provider has ended it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Refusal
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.origin import Credential
from pointsman.domain.outcomes import Usage
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._error_table import Rules

# How an answer is read: as one JSON text, which is judged when it is whole, as events, or as bytes of which nobody can
# tell whether they are whole, such as those of a file.
Form = Literal["whole", "events", "opaque"]


class WholeAnswer(Struct, frozen=True, gc=False):
    """A whole answer in the client's dialect."""

    body: bytes
    usage: Usage | None = None


class AnswerScan(Protocol):
    """Looks for the usage in JSON as it comes. `is_whole` says that the JSON has ended."""

    @property
    def is_whole(self) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def read(self) -> Usage | None: ...


class StreamDecoder(Protocol):
    """Reads one streamed answer.

    `has_content` turns true at the first piece of real content (text, tool call, reasoning, refusal, audio) or at a
    regular end without any: from then on nothing else may be tried. `is_done` says that the answer is whole and over,
    `is_finished` that it is whole, though the provider may still say what it used, or nothing at all. `is_ending` says
    that one of these holds or `failure` is set: until then nobody but the decoder needs to look at an event.
    `left_out` counts events that could not be read: one is left out, a second one is a failure.
    `events` counts those with content: what is known of the length of an answer that breaks off before its usage.
    `failure` is set when the provider reported an error inside the stream or sent what cannot be read; nothing more
    is to be fed then.
    """

    has_content: bool
    is_finished: bool
    is_done: bool
    is_ending: bool
    left_out: int
    usage: Usage | None
    failure: Failure | None
    events: int

    def feed(self, data: bytes) -> bytes:
        """The part of the client's stream that `data` completes, possibly nothing."""
        ...

    def close(self) -> bytes:
        """The provider ended the stream. Returns what is still due; sets `failure` if the answer is not whole."""
        ...

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        """What ends the client's stream, in its dialect, when it cannot be completed."""
        ...


class Codec(Protocol):
    """One operation of one provider. `dialect` names the dialect that it speaks to the provider."""

    @property
    def dialect(self) -> str: ...

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        """The request for the provider. For a body that is passed on as it arrives, the request's body is empty.
        `attempt_id` is told to the provider where it takes such an id, so that its bill can be held against ours.
        `now_unix_s` is the time for a signature. Raises `Refusal` for a call that cannot be sent."""
        ...

    def is_answer(self, status: int) -> bool:
        """Whether an answer with this status is no error."""
        ...

    def form(self, call: Call, status: int, content_type: bytes) -> Form:
        """How an answer that is no error is read. A stream may turn out to be no stream by its first byte."""
        ...

    def decode(self, call: Call, body: bytes, *, as_stream: bool = False) -> WholeAnswer | Failure:
        """Read a whole answer that is no error. `as_stream` makes the stream of it that was asked for: there are
        providers that do not stream."""
        ...

    def decoder(self, call: Call, max_event_bytes: int) -> StreamDecoder:
        """A decoder for one streamed answer, none of whose events may be longer."""
        ...

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        """Whether the pieces of an answer tell how many tokens came of it so far."""
        ...

    def scan(self) -> AnswerScan:
        """A scan of one answer that is passed on unread."""
        ...

    def usage_in(self, body: bytes) -> Usage | None:
        """The usage that a whole answer tells though `decode` takes it for a failure."""
        ...

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        """Classify an error by its status and the provider's error table."""
        ...


NO_STREAM = Failure(failures.MALFORMED_ANSWER, "the provider answered a request for a stream with something else")
Auth = Callable[[Credential], bytes]


def bearer(credential: Credential) -> bytes:
    """The header line of a key as most providers take it; none for an empty key."""
    secret = credential.reveal()
    return b"authorization: Bearer %b\r\n" % secret.encode() if secret else b""


_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_\-.~:@]+")


def safe_segment(model: str) -> str:
    """A model's name as a segment of a path. Raises `Refusal` for a name that could end the segment or climb out of it.
    It is not escaped: something on the way might undo that."""
    if not _SEGMENT.fullmatch(model):
        raise Refusal(Failure(failures.INVALID_REQUEST, f"the model {model!r} cannot stand in a path", param="model"))
    return model


class Provider(Struct, frozen=True, kw_only=True, eq=False):
    """A kind of provider. `name` is its name in the configuration and of its file; `base_url` is `None` where the
    configuration must give it; `key_env` is the usual environment variable of its key. `auth` makes the header lines of
    a credential. `lister` asks for its models; it is `None` where a provider lists none. `quirks` makes of the
    catalog's provider and of the configuration's `output_bound` whatever its codecs must know of an endpoint.
    `default_output` is the longest answer to a request that states no bound, for operations where that is less than
    the model can answer. `errors` are its own rules of who is at fault, over the shared ones."""

    name: str
    title: str
    base_url: str | None
    key_env: str | None
    codecs: Mapping[Operation, Codec]
    auth: Auth = bearer
    lister: Codec | None = None
    needs_key: bool = True
    docs: str = ""
    quirks: Callable[[str, str | None], object] | None = None
    default_output: Mapping[Operation, int] = {}
    errors: Rules = ()

    @property
    def operations(self) -> frozenset[Operation]:
        return frozenset(self.codecs)

    @property
    def lists_models(self) -> bool:
        return self.lister is not None
