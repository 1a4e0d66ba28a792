"""The codecs that OpenAI and most other providers share."""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_answers import judge, judge_passed
from pointsman.providers._openai_errors import classify
from pointsman.providers._openai_stream import OpenAIStream
from pointsman.providers._openai_whole import stream_of
from pointsman.providers._typed_stream import TypedStream
from pointsman.providers._usage_scan import JsonScan, usage_in
from pointsman.providers.api import (
    NO_STREAM,
    Auth,
    Form,
    StreamDecoder,
    WholeAnswer,
    bearer,
    cached_head,
    model_field,
)
from pointsman.wire.bounds import count_prompts
from pointsman.wire.json_object import encode_object

# OpenAI keeps this id beside its own: https://platform.openai.com/docs/api-reference/debugging-requests
_ID_LINE = b"%bx-client-request-id: %b\r\n"
_INCLUDE_USAGE = Raw(b'{"include_usage":true}')


# A chat has two fields for the most tokens of its answer. `max_tokens` is the older one, which OpenAI's own reasoning
# models reject. `max_completion_tokens` is the newer one, which some servers ignore.
NEWER, OLDER = "max_completion_tokens", "max_tokens"
_BOUNDS: dict[Operation, tuple[str, ...]] = {
    "chat": (NEWER, OLDER),
    "completion": (OLDER,),
    "responses": ("max_output_tokens",),
}
_STREAMING = frozenset({"responses", "image", "other"})  # where `stream` requests events
_UNLIMITED = Raw(b"-1")
# Returns what precedes the path of a call with a key at a server, and the query that follows it, with its mark.
Locate = Callable[[Call, Candidate, ProviderKey], tuple[str, bytes]]
_BODILESS = (204, 205, 304)


class Quirks(Struct, frozen=True):
    """A server's differences from OpenAI's dialect. `output_bound` is the field for a bound on a chat's answer if its
    client sets none. `rename` has pairs of OpenAI's name for a field and the server's. `omit` are fields that it
    rejects although they do not change an answer."""

    output_bound: str = NEWER
    rename: tuple[tuple[str, str], ...] = ()
    omit: tuple[str, ...] = ()


class PassthroughCodec(Struct, frozen=True, kw_only=True, eq=False):
    """A codec that sends the client's body to the same path of the provider, under the provider's own model name."""

    dialect: str = "openai"
    is_translating: bool = False
    errors: Rules = ()
    takes_unlimited: bool = False
    own_fields: Callable[[dict[str, Raw]], dict[str, Raw]] | None = None
    auth: Auth = bearer
    locate: Locate | None = None
    scan = JsonScan
    usage_in = staticmethod(usage_in)

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        body, content_type = b"", "application/json"
        if call.fields:
            fields = self._bounded(call, NEWER)
            if self.own_fields is not None:
                fields = self.own_fields(fields)
            if call.model:
                fields["model"] = model_field(candidate.model_at(key))
            body = encode_object(fields)
        elif call.raw_body:
            body = call.raw_body
            if call.model_at is not None:
                start, end = call.model_at
                body = body[:start] + (candidate.model_at(key).encode() if call.model else b"") + body[end:]
                content_type = call.head.content_type
        else:
            content_type = call.head.content_type if call.raw_body is None else ""
        target, headers = self._head(call, candidate, key, content_type)
        headers = _ID_LINE % (headers, attempt_id.encode())
        return UpstreamRequest(call.head.method.encode(), target, headers, body, is_replayable=not call.stateful)

    def _head(self, call: Call, candidate: Candidate, key: ProviderKey, content_type: str) -> tuple[bytes, bytes]:
        """Return the target and the header lines of a request, kept with the key."""
        if self.locate is None:
            return cached_head(candidate.endpoint.base_path, key, call.head, content_type, auth=self.auth)
        base_path, query = self.locate(call, candidate, key)
        target, headers = cached_head(base_path, key, call.head, content_type, auth=self.auth)
        return target + (query.replace(b"?", b"&") if b"?" in target else query), headers

    def _bounded(self, call: Call, of_chats: str) -> dict[str, Raw]:
        """Return a copy of a call's fields, with its bound in the field that the provider reads. A different bound set
        by the client is lowered in place. A missing one is added, for a chat in `of_chats`."""
        tokens, fields = call.max_tokens, call.fields.copy()
        if tokens is not None and tokens != call.stated_tokens:
            names = _BOUNDS[call.operation]
            if fields.keys().isdisjoint(names):  # the usual case
                fields[of_chats if call.operation == "chat" else names[0]] = Raw(b"%d" % tokens)
                return fields
            bounds = {name: bytes(fields[name]) for name in names if name in fields and bytes(fields[name]) != b"null"}
            for name in bounds or (of_chats if call.operation == "chat" else names[0],):
                if name not in bounds or not 0 <= msgspec.json.decode(bounds[name], type=float) <= tokens:
                    fields[name] = Raw(b"%d" % tokens)
        elif tokens is None and not self.takes_unlimited:  # without the field, the meaning is the same
            for name in _BOUNDS.get(call.operation, ()):
                if fields.get(name) == _UNLIMITED:
                    del fields[name]
        return fields

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300 or status == 304

    def form(self, call: Call, status: int, content_type: bytes) -> Form:
        if status in _BODILESS or call.head.method == "HEAD":
            return "opaque"
        if call.head.path.partition("?")[0].endswith("/content"):
            return "opaque"
        if content_type.startswith(b"text/event-stream") or (call.stream and call.operation in _STREAMING):
            return "events"
        is_sound = call.operation == "audio" and not (b"json" in content_type or b"html" in content_type)
        return "opaque" if is_sound else "whole"

    def decode(
        self,
        call: Call,
        body: bytes,
        *,
        as_stream: bool = False,
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> WholeAnswer | Failure:
        found = judge_passed(call, body, self.errors)
        return NO_STREAM if as_stream and isinstance(found, WholeAnswer) else found

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return TypedStream(call.operation, choices=call.choices, errors=self.errors, max_event_bytes=max_event_bytes)

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        # A response's content may also come in one piece, which does not show its tokens.
        return call.stream and call.operation == "responses" and not is_committed

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return classify(status, headers, body, now_unix_s, self.errors)


class JsonCodec(PassthroughCodec, frozen=True, kw_only=True, eq=False):
    """Chat, completions and embeddings: JSON with a `model` in it and a `usage` in the answer."""

    streams_usage: bool = True
    quirks: Quirks = Quirks()

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        quirks = candidate.endpoint.quirks
        if type(quirks) is not Quirks:
            quirks = self.quirks
        fields = self._bounded(call, quirks.output_bound)
        fields["model"] = model_field(candidate.model_at(key))
        if self.own_fields is not None:
            fields = self.own_fields(fields)
        if not self.streams_usage:
            fields.pop("stream_options", None)
        elif call.stream and not call.wants_usage:
            fields["stream_options"] = _with_usage(fields.get("stream_options"))
        for name, theirs in quirks.rename:
            if name in fields:
                fields[theirs] = fields.pop(name)
        dropped = tuple(name for name in quirks.omit if fields.pop(name, None) is not None) if quirks.omit else ()
        target, headers = self._head(call, candidate, key, "application/json")
        headers = _ID_LINE % (headers, attempt_id.encode())
        return UpstreamRequest(b"POST", target, headers, encode_object(fields), dropped=dropped)

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "events" if call.stream else "whole"

    def decode(
        self,
        call: Call,
        body: bytes,
        *,
        as_stream: bool = False,
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> WholeAnswer | Failure:
        found = judge(call, body, self.errors)
        if not as_stream or isinstance(found, Failure):
            return found
        stream = stream_of(call, found.body)
        return NO_STREAM if stream is None else WholeAnswer(stream, found.usage, found.refused)

    def counts(self, call: Call, *, is_committed: bool) -> bool:  # noqa: ARG002
        return call.stream

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return OpenAIStream(
            keep_usage=call.wants_usage,
            choices=_answers(call),
            errors=self.errors,
            max_event_bytes=max_event_bytes,
        )


def _answers(call: Call) -> int:
    """Return the number of streamed answers: each of several prompts gets the requested number."""
    prompt = call.fields.get("prompt") if call.operation == "completion" else None
    return call.choices if prompt is None else call.choices * count_prompts(prompt)


def _with_usage(options: Raw | None) -> Raw:
    if options is None or bytes(options) == b"null":
        return _INCLUDE_USAGE
    merged = msgspec.json.decode(options, type=dict[str, Raw])
    return Raw(encode_object({**merged, "include_usage": Raw(b"true")}))
