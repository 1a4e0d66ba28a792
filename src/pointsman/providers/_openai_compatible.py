"""The codecs that OpenAI and most other providers share, and the row that describes such a provider."""

from collections.abc import Mapping
from functools import lru_cache, partial

import msgspec
from msgspec import Raw, Struct

from pointsman import __version__
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_answers import judge, judge_passed
from pointsman.providers._openai_errors import classify
from pointsman.providers._openai_stream import OpenAIStream
from pointsman.providers._openai_whole import stream_of
from pointsman.providers._typed_stream import TypedStream
from pointsman.providers._usage_scan import JsonScan, usage_in
from pointsman.providers.api import NO_STREAM, Auth, Codec, Form, Provider, StreamDecoder, WholeAnswer, bearer
from pointsman.wire.bounds import count_prompts
from pointsman.wire.json_object import encode_object

_USER_AGENT = f"user-agent: pointsman/{__version__}\r\n".encode()
# OpenAI keeps this id beside its own: https://platform.openai.com/docs/api-reference/debugging-requests
_ID_LINE = b"%bx-client-request-id: %b\r\n"
MAX_ENVELOPES = 1024  # of a key
_INCLUDE_USAGE = Raw(b'{"include_usage":true}')


# A chat has two fields for the most tokens of its answer. `max_tokens` is the older one, which OpenAI's own reasoning
# models reject. `max_completion_tokens` is the newer one, which some servers ignore.
NEWER, OLDER = "max_completion_tokens", "max_tokens"
_BOUNDS: dict[Operation, tuple[str, ...]] = {
    "chat": (NEWER, OLDER),
    "completion": (OLDER,),
    "responses": ("max_output_tokens",),
}
_OPENAIS = frozenset({"openai", "azure"})  # catalogs of models that reject the older field
_STREAMING = frozenset({"responses", "image", "other"})  # where `stream` requests events
_UNLIMITED = Raw(b"-1")
_BODILESS = (204, 205, 304)


class Quirks(Struct, frozen=True):
    """A server's differences from OpenAI's dialect. `output_bound` is the field for a bound on a chat's answer if its
    client sets none. `rename` has pairs of OpenAI's name for a field and the server's."""

    output_bound: str = NEWER
    rename: tuple[tuple[str, str], ...] = ()


class PassthroughCodec(Struct, frozen=True, kw_only=True, eq=False):
    """A codec that sends the client's body to the same path of the provider, under the provider's own model name."""

    dialect: str = "openai"
    errors: Rules = ()
    takes_unlimited: bool = False
    auth: Auth = bearer
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
            if call.model:
                fields["model"] = _model_name(candidate.model)
            body = encode_object(fields)
        elif call.raw_body:
            body = call.raw_body
        else:
            content_type = call.head.content_type if call.raw_body is None else ""
        target, headers = self._envelope(candidate.endpoint, key, call.head, content_type)
        headers = _ID_LINE % (headers, attempt_id.encode())
        return UpstreamRequest(call.head.method.encode(), target, headers, body, is_replayable=not call.stateful)

    def _envelope(
        self, endpoint: Endpoint, key: ProviderKey, head: RequestHead, content_type: str
    ) -> tuple[bytes, bytes]:
        """Return the target and the header lines, cached with the key that is in them."""
        known, at = key.envelopes.known, (endpoint.base_path, head, content_type)  # an endpoint would be a cycle
        found = known.get(at)
        if found is None:
            lines = _USER_AGENT
            if content_type:
                lines += f"content-type: {content_type}\r\n".encode("ascii")
            lines += self.auth(key.credential)
            lines += "".join(f"{name}: {value}\r\n" for name, value in head.forwarded).encode("ascii")
            if len(known) >= MAX_ENVELOPES:
                known.clear()
            found = known[at] = (endpoint.base_path + head.path).encode("ascii"), lines
        return found

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

    def decode(self, call: Call, body: bytes, *, as_stream: bool = False) -> WholeAnswer | Failure:
        found = judge_passed(call, body, self.errors)
        return NO_STREAM if as_stream and isinstance(found, WholeAnswer) else found

    def decoder(self, call: Call, max_event_bytes: int) -> StreamDecoder:
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
        fields["model"] = _model_name(candidate.model)
        if not self.streams_usage:
            fields.pop("stream_options", None)
        elif call.stream and not call.wants_usage:
            fields["stream_options"] = _with_usage(fields.get("stream_options"))
        for name, theirs in quirks.rename:
            if name in fields:
                fields[theirs] = fields.pop(name)
        target, headers = self._envelope(candidate.endpoint, key, call.head, "application/json")
        return UpstreamRequest(b"POST", target, _ID_LINE % (headers, attempt_id.encode()), encode_object(fields))

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "events" if call.stream else "whole"

    def decode(self, call: Call, body: bytes, *, as_stream: bool = False) -> WholeAnswer | Failure:
        found = judge(call, body, self.errors)
        if not as_stream or isinstance(found, Failure):
            return found
        stream = stream_of(call, found.body)
        return NO_STREAM if stream is None else WholeAnswer(stream, found.usage)

    def counts(self, call: Call, *, is_committed: bool) -> bool:  # noqa: ARG002
        return call.stream

    def decoder(self, call: Call, max_event_bytes: int) -> StreamDecoder:
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


@lru_cache(maxsize=4096)  # of names
def _model_name(model: str) -> Raw:
    return Raw(encode_object(model))


def _with_usage(options: Raw | None) -> Raw:
    if options is None or bytes(options) == b"null":
        return _INCLUDE_USAGE
    merged = msgspec.json.decode(options, type=dict[str, Raw])
    return Raw(encode_object({**merged, "include_usage": Raw(b"true")}))


# https://platform.openai.com/docs/api-reference/completions/create (`max_tokens`); vLLM and SGLang follow it.
COMPLETION_TOKENS = 16
PASSED_THROUGH: tuple[Operation, ...] = ("responses", "image", "audio", "moderation")
ACCOUNT: tuple[Operation, ...] = ("file", "batch", "other")


def openai_compatible(  # noqa: PLR0913 -- the columns of a row
    name: str,
    title: str,
    base_url: str | None,
    key_env: str | None,
    *,
    chat: bool = True,
    embeddings: bool = True,
    completions: bool = True,
    also: tuple[Operation, ...] = (),
    streams_usage: bool = True,
    rename: Mapping[str, str] | None = None,
    output_bound: str = NEWER,
    completion_tokens: int | None = None,
    needs_key: bool = True,
    docs: str = "",
    errors: Rules = (),
    takes_unlimited: bool = False,
) -> Provider:
    """Return a provider that speaks OpenAI's dialect, from one row of facts.

    `also` lists operations that are passed through beside these. `streams_usage` says that it understands
    `stream_options.include_usage`, which is otherwise left out. `rename` maps OpenAI's field names to the provider's.
    `output_bound` is the field for a bound on a chat's answer. `completion_tokens` is the longest text completion if
    the request sets no bound. It is 16 in OpenAI's dialect (`COMPLETION_TOKENS`), but some servers continue to the end.
    `errors` are its own rules of faults, before the shared table. `takes_unlimited` says that it accepts -1 for an
    answer without a bound, which is otherwise left out.
    """
    usual = Quirks(output_bound, tuple((rename or {}).items()))
    codec = JsonCodec(streams_usage=streams_usage, quirks=usual, errors=errors, takes_unlimited=takes_unlimited)
    codecs: dict[Operation, Codec] = {}
    if chat:
        codecs["chat"] = codec
    if completions:
        codecs["completion"] = codec
    if embeddings:
        codecs["embedding"] = JsonCodec(errors=errors)
    passthrough = PassthroughCodec(errors=errors, takes_unlimited=takes_unlimited)
    for operation in also:
        codecs[operation] = passthrough
    return Provider(
        name=name,
        title=title,
        base_url=base_url,
        key_env=key_env,
        codecs=codecs,
        lister=passthrough,
        needs_key=needs_key,
        docs=docs,
        quirks=partial(_quirks, usual),
        default_output={} if completion_tokens is None else {"completion": completion_tokens},
        errors=errors,
    )


def _quirks(usual: Quirks, catalog: str, output_bound: str | None) -> Quirks:
    """Return the quirks of a server of this kind whose models are in `catalog`. The configuration may set another
    `output_bound` than the usual one of its kind."""
    if output_bound is None:
        return Quirks(NEWER, usual.rename) if catalog in _OPENAIS else usual
    others = tuple(pair for pair in usual.rename if pair[0] != NEWER)
    return Quirks(output_bound, (*others, (NEWER, OLDER)) if output_bound == OLDER else others)
