"""The public side of providers: a record for each, with a codec for each operation it supports, and an error table.

Absence means unsupported: an operation without a codec is never routed to the provider, and there are no stubs.

A codec translates one operation. Towards the provider it *encodes* a call into an HTTP request. From the provider it
*decodes* a whole answer in one step, or a stream by a decoder that is fed bytes as they arrive. The output is in the
client's dialect. If provider and client speak the same one, it is the provider's own bytes. If not, the decoder holds a
writer of the client's dialect and calls it for each piece of content. So dialects and providers add up instead of
multiplying.

The recorded streams of other dialects show the state that a decoder must keep between pieces. Anthropic sends the
prompt's usage in its first event and the answer's in its last but one. It ends with a named event instead of `[DONE]`.
Gemini repeats the whole usage in every event and has no closing event at all. Hence `usage` may grow while a stream
runs, and `close` is called when the provider has ended it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, Protocol

from msgspec import Raw, Struct

from pointsman import __version__
from pointsman.domain import failures
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.origin import CredentialKind, Secret, secret_of
from pointsman.domain.outcomes import Usage
from pointsman.domain.quotas import Quota
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey
from pointsman.providers import _sigv4
from pointsman.providers._error_table import Rules
from pointsman.providers._model_lists import openai_models
from pointsman.providers._quota_headers import openai_quota
from pointsman.wire.json_object import encode_object
from pointsman.wire.sse import EventSplitter, Splitter

# The form of an answer: one JSON text, which is judged as a whole, events, or opaque bytes. Opaque bytes, such as those
# of a file, do not show whether they are complete.
Form = Literal["whole", "events", "opaque"]


class WholeAnswer(Struct, frozen=True, gc=False):
    """A whole answer in the client's dialect. `refused` is set if the model or a filter refused. It is the kind of
    failure that the answer is for a request with fallbacks for it."""

    body: bytes
    usage: Usage | None = None
    refused: Kind | None = None


class AnswerScan(Protocol):
    """A scan for the usage in JSON as it arrives. `is_whole` says that the JSON has ended."""

    @property
    def is_whole(self) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def read(self) -> Usage | None: ...


class StreamDecoder(Protocol):
    """Reads one streamed answer.

    `has_content` turns true at the first real content (text, tool call, reasoning, refusal, audio) or at a regular end
    without any. From then on no other candidate may be tried. `is_done` says that the answer is whole and over.
    `is_finished` says that it is whole, though the provider may still send its usage, or nothing at all. `is_ending`
    says that one of these is true or `failure` is set. Until then only the decoder needs to read an event.
    `events_left_out` counts unreadable events: the first is left out, a second one is a failure. `events` counts those
    with content, which measure the length of an answer that breaks off before its usage. If an event may hold several
    tokens, `content_bytes` counts the bytes of content too. With `is_usage_partial`, the provider has reported the
    tokens of the prompt, but not yet those of the answer. `failure` is set when the provider reported an error inside
    the stream or sent unreadable data. Nothing more may be fed then. `refused` is set as in `WholeAnswer`, at the
    first piece of a refusal or at the end of the answer.
    """

    has_content: bool
    is_finished: bool
    is_done: bool
    is_ending: bool
    events_left_out: int
    usage: Usage | None
    is_usage_partial: bool
    failure: Failure | None
    events: int
    content_bytes: int
    refused: Kind | None

    def feed(self, data: bytes) -> bytes:
        """Return the part of the client's stream that `data` completes, possibly nothing."""
        ...

    def close(self) -> bytes:
        """End the stream, as the provider did. Return the remaining bytes; set `failure` if the answer is not whole."""
        ...

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        """Return the bytes that end the client's stream, in its dialect, if it cannot be completed."""
        ...


class Codec(Protocol):
    """One operation of one provider. `dialect` names the dialect that it speaks to the provider. If `is_translating`,
    its client speaks another one, so none of an answer passes unread, and the provider keeps no object of the
    client."""

    @property
    def dialect(self) -> str: ...

    @property
    def is_translating(self) -> bool: ...

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        """Return the request for the provider. For a body that is passed on as it arrives, the request's body is empty.
        `attempt_id` is sent to a provider that accepts such an id, so that its bill can be compared with ours.
        `now_unix_s` is the time for a signature. The key's credential is concrete, never a source. Raises `Rejection`
        for a call that cannot be sent."""
        ...

    def is_answer(self, status: int) -> bool:
        """Return whether an answer with this status is no error."""
        ...

    def form(self, call: Call, status: int, content_type: bytes) -> Form:
        """Return the form of an answer that is no error. The first byte of a stream may show that it is not a
        stream."""
        ...

    def decode(
        self, call: Call, body: bytes, *, as_stream: bool = False, now_unix_s: float = 0.0
    ) -> WholeAnswer | Failure:
        """Read a whole answer that is no error. `as_stream` makes the requested stream from it, since some providers do
        not stream. `now_unix_s` is the time for an answer in a dialect that shows it."""
        ...

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:
        """Return a decoder for one streamed answer, with a limit on the length of an event."""
        ...

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        """Return whether the pieces of an answer show the number of its tokens so far."""
        ...

    def scan(self) -> AnswerScan:
        """Return a scan of one answer that is passed on unread."""
        ...

    def usage_in(self, body: bytes) -> Usage | None:
        """Return the usage in a whole answer that `decode` takes for a failure."""
        ...

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        """Classify an error by its status and the provider's error table."""
        ...


NO_STREAM = Failure(failures.MALFORMED_ANSWER, "the provider did not return the requested stream")
Auth = Callable[[Secret], bytes]
Adapt = Callable[[dict[str, Raw], str, int | None], dict[str, Raw]]  # by model and bound on the answer in tokens
ReadQuota = Callable[[Headers, float], Quota | None]
MakeSplitter = Callable[[int], Splitter]  # from the most bytes of an event
SERVER_SENT: MakeSplitter = EventSplitter


def bearer(secret: Secret) -> bytes:
    """Return the header line of a key as most providers take it; none for an empty key."""
    value = secret.reveal()
    return b"authorization: Bearer %b\r\n" % value.encode() if value else b""


# Requests to AWS's own services are signed in the same way.
SigningScope = _sigv4.SigningScope
UnsignedRequest = _sigv4.UnsignedRequest
signature_lines = _sigv4.signature_lines

MAX_CACHED_HEADS = 1024  # of a key
_USER_AGENT = f"user-agent: pointsman/{__version__}\r\n".encode()
_NO_HEADERS: Mapping[str, str] = {}


@lru_cache(maxsize=4096)  # of names
def model_field(model: str) -> Raw:
    """Return a model's name as the value of a field."""
    return Raw(encode_object(model))


def cached_head(
    base_path: str,
    key: ProviderKey,
    head: RequestHead,
    content_type: str,
    *,
    auth: Auth | None,
    defaults: Mapping[str, str] = _NO_HEADERS,
) -> tuple[bytes, bytes]:
    """Return the target and the header lines of a request, kept with the key that is in them. `defaults` are headers
    that are sent if the client sends none of these names. Without `auth`, the caller adds the credential."""
    known, at = key.cached_heads.known, (base_path, head, content_type)
    found = known.get(at)
    if found is None:
        lines = _USER_AGENT
        if content_type:
            lines += f"content-type: {content_type}\r\n".encode("ascii")
        if auth is not None:
            lines += auth(secret_of(key.credential))
        forwarded = {**defaults, **dict(head.forwarded)}
        lines += "".join(f"{name}: {value}\r\n" for name, value in forwarded.items()).encode("ascii")
        if len(known) >= MAX_CACHED_HEADS:
            known.clear()
        found = known[at] = (base_path + head.path).encode("ascii"), lines
    return found


def as_it_is(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields unchanged: the role of the last message is enough."""
    return fields


class Prefill(Struct, frozen=True, kw_only=True, eq=False):
    """The way of a provider to continue a text of the assistant at the end of a conversation. Other providers answer it
    anew, or reject it. `mark` changes the fields of a request in its dialect whose last
    message is the text. `models` matches the names of models that do it; `None` stands for all. `path` is another path
    that it needs. If it `echoes`, its answer begins with the text."""

    mark: Callable[[dict[str, Raw]], dict[str, Raw]] = as_it_is
    models: re.Pattern[str] | None = None
    path: str = ""
    echoes: bool = False

    def takes(self, model: str) -> bool:
        """Return whether a model continues a text."""
        return self.models is None or self.models.search(model) is not None


_READING = RequestHead(method="GET")


def as_configured(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint unchanged."""
    return endpoint


def one_page(body: bytes) -> str:  # noqa: ARG001
    """Return no query: a list is whole on its first page."""
    return ""


def reading(auth: Auth) -> Callable[[Candidate, ProviderKey, str, float], UpstreamRequest]:
    """Return a maker of requests that read a path with a credential in their head."""

    def request(candidate: Candidate, key: ProviderKey, path: str, now_unix_s: float) -> UpstreamRequest:  # noqa: ARG001
        base_path = candidate.endpoint.base_path
        _, lines = cached_head(base_path, key, _READING, "", auth=auth)
        return UpstreamRequest(b"GET", (base_path + path).encode("ascii"), lines, b"")

    return request


class ModelLists(Struct, frozen=True, kw_only=True, eq=False):
    """The lists of a provider's models. `request` makes a request for a page: for one of `paths`, which may have a
    query, at a time in Unix seconds. `names` reads the models in a page, and `next_page` the query of the page after
    it; empty for the last one. Both raise one of `json_object.UNREADABLE`. `at` returns an endpoint with the address of
    its lists. With `needs_right`, a key that may call models may still have no right to list them."""

    request: Callable[[Candidate, ProviderKey, str, float], UpstreamRequest]
    paths: tuple[str, ...] = ("/models",)
    names: Callable[[bytes], Sequence[str]] = openai_models
    next_page: Callable[[bytes], str] = one_page
    at: Callable[[Endpoint], Endpoint] = as_configured
    needs_right: bool = False


class Provider(Struct, frozen=True, kw_only=True, eq=False):
    """A kind of provider. `name` is its name in the configuration and of its file. `base_url` is `None` if the
    configuration must set it. `key_env` is the usual environment variable of its key. `auth` makes the header lines of
    a credential. `lists` are those of its models; `None` if it has none. `quirks` makes the settings of its codecs for
    an endpoint from the catalog's provider and the configuration's `output_bound`. `default_output` is the longest
    answer to a request without a bound. It covers operations with a default below the model's maximum. `needs_bound`
    says that it rejects a conversation without a bound on the answer. `adapt` changes the fields of a translated
    request for a model that takes other ones. `keeps_responses` says that later requests can name its responses.
    `is_self_hosted` says that users run it on machines of their own. `errors` are its own rules of faults, before the
    shared ones. `quota` reads the limits of a key in the head of an answer. It gets the time in Unix seconds too, for
    dates. `has_deployments` says that users name its models themselves, and set the version of its API. `credentials`
    are the kinds of credentials that it takes. `takes` are the settings `region` and `project` if it has them, each
    with the kinds of credentials that require it. `regional_url` makes its address from the region, which may be empty.
    It then has no `base_url`. `families` are the records of its models with an API of their own, by a shell-style
    pattern of their names. Only the fields about requests and answers count in them. `regions` are those that the names
    of models imply, by regular expressions. `splitter` splits its streams into events, if they are not server-sent
    events. `prefill` is its way to continue a text; `None` if it answers it anew."""

    name: str
    title: str
    base_url: str | None
    key_env: str | None
    codecs: Mapping[Operation, Codec]
    auth: Auth = bearer
    lists: ModelLists | None = None
    needs_key: bool = True
    docs: str = ""
    quirks: Callable[[str, str | None], object] | None = None
    default_output: Mapping[Operation, int] = {}
    needs_bound: bool = False
    adapt: Adapt | None = None
    keeps_responses: bool = True
    is_self_hosted: bool = False
    errors: Rules = ()
    quota: ReadQuota = openai_quota
    has_deployments: bool = False
    credentials: tuple[CredentialKind, ...] = ("value",)
    takes: Mapping[str, frozenset[CredentialKind]] = {}
    regional_url: Callable[[str], str] | None = None
    families: Mapping[str, "Provider"] = {}
    regions: tuple[tuple[str, str], ...] = ()
    splitter: MakeSplitter = SERVER_SENT
    prefill: Prefill | None = None

    @property
    def operations(self) -> frozenset[Operation]:
        """The operations that it has in its own dialect."""
        return frozenset(self.codecs)

    @property
    def lists_models(self) -> bool:
        return self.lists is not None
