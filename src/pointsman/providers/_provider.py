"""What a provider is: a record with a codec for each operation it supports, and an error table.

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

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._error_table import Rules


class Answer(Struct, frozen=True, gc=False):
    """A whole answer in the client's dialect."""

    body: bytes
    usage: Usage | None = None


class Form(Enum):
    """What an answer is made of."""

    WHOLE = "whole"  # one JSON text, which is judged when it is whole
    EVENTS = "events"
    OPAQUE = "opaque"  # a file, say: nobody can tell whether it is whole


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
    """One operation of one provider. With `is_passthrough` the client's request is sent on as it is."""

    is_passthrough: bool

    def encode(self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "") -> UpstreamRequest:
        """The request for the provider. For a body that is passed on as it arrives, the request's body is empty.
        `attempt_id` is told to the provider where it takes such an id, so that its bill can be held against ours."""
        ...

    def form(self, call: Call, status: int, content_type: bytes) -> Form:
        """What is made of an answer with a status of 2xx or 304. A stream may turn out to be no stream by its first
        byte."""
        ...

    def decode(self, call: Call, body: bytes) -> Answer | Failure:
        """Read a whole answer that came with a status of 2xx."""
        ...

    def as_stream(self, call: Call, body: bytes) -> bytes | None:
        """Make the stream that was asked for of a whole answer in the client's dialect, from a provider that does not
        stream. `None` if it is no answer."""
        ...

    def decoder(self, call: Call, max_event_bytes: int) -> StreamDecoder:
        """A decoder for one streamed answer, none of whose events may be longer."""
        ...

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        """Classify an answer with any other status, by the provider's error table."""
        ...


class Provider(Struct, frozen=True, eq=False):
    """A kind of provider. `name` is its name in the configuration and of its file; `base_url` is `None` where the
    configuration must give it; `key_env` is the usual environment variable of its key. `quirks` makes of the catalog's
    provider and of the configuration's `output_bound` whatever its codecs want to know of an endpoint.
    `default_output` is the longest answer to a request that states no bound, for operations where that is less than
    the model can answer. `errors` are its own rules of who is at fault, over the shared ones."""

    name: str
    title: str
    base_url: str | None
    key_env: str | None
    codecs: Mapping[Operation, Codec]
    needs_key: bool = True
    docs: str = ""
    quirks: Callable[[str, str | None], object] = lambda _catalog, _output_bound: None
    default_output: Mapping[Operation, int] = {}
    errors: Rules = ()

    @property
    def operations(self) -> frozenset[Operation]:
        return frozenset(self.codecs)
