"""The codecs that OpenAI and most other providers share, and the row that describes such a provider."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from pointsman import __version__
from pointsman.domain import failures
from pointsman.domain.calls import Call, Operation
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_errors import classify, classify_inside
from pointsman.providers._openai_stream import OpenAIStream, OpenAIUsage, is_empty, read_usage
from pointsman.providers._openai_whole import as_stream
from pointsman.providers._provider import Answer, Codec, Provider, StreamDecoder
from pointsman.providers._usage_scan import usage_in
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.output_bound import NEWER, without_unlimited
from pointsman.wire.sse import BYTE_ORDER_MARK

SCANNED_BYTES = 64 * 1024

_USER_AGENT = f"user-agent: pointsman/{__version__}\r\n".encode()
# OpenAI keeps this id beside its own: https://platform.openai.com/docs/api-reference/debugging-requests
_ID_LINE = b"%bx-client-request-id: %b\r\n"
_INCLUDE_USAGE = Raw(b'{"include_usage":true}')


class _Plain(Struct, gc=False):
    usage: OpenAIUsage | None = None
    error: Raw | None = None
    service_tier: str | None = None


class _Probe(Struct):
    usage: Raw = Raw(b"")
    error: Raw = Raw(b"")


_PLAIN_DECODER = msgspec.json.Decoder(_Plain)
_DECODER = msgspec.json.Decoder(_Probe)


class PassthroughCodec:
    """Sends what the client sent to the same path of the provider, under the provider's own model name."""

    is_passthrough = True

    def __init__(self, *, errors: Rules = (), takes_unlimited: bool = False) -> None:
        self._errors = errors
        self._takes_unlimited = takes_unlimited

    def encode(self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "") -> UpstreamRequest:
        body = b""
        if call.fields:
            fields = call.fields
            if call.max_tokens is None and not self._takes_unlimited:
                fields = without_unlimited(call)
            if call.model:
                fields = {**fields, "model": _model_name(candidate.model)}
            body = encode_object(fields)
        elif call.raw_body:
            body = call.raw_body
        target, headers = _envelope(candidate.endpoint, key, call.path, call.content_type, call.forwarded)
        headers = _ID_LINE % (headers, attempt_id.encode())
        return UpstreamRequest(call.method.encode(), target, headers, body, is_replayable=not call.stateful)

    def decode(self, call: Call, body: bytes) -> Answer | Failure:  # noqa: ARG002
        return Answer(body, usage_in(body) if len(body) <= SCANNED_BYTES else None)  # a longer one is read as it comes

    def as_stream(self, call: Call, body: bytes) -> bytes | None:  # noqa: ARG002
        raise TypeError(f"{call.operation.value} answers are passed through as they are")

    def decoder(self, call: Call) -> StreamDecoder:
        raise TypeError(f"{call.operation.value} answers are passed through, not decoded")

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return classify(status, headers, body, now_unix_s, self._errors)


class JsonCodec(PassthroughCodec):
    """Chat, completions and embeddings: JSON with a `model` in it and a `usage` in the answer."""

    is_passthrough = False

    def __init__(
        self,
        *,
        streams_usage: bool = True,
        rename: Mapping[str, str] | None = None,
        errors: Rules = (),
        takes_unlimited: bool = False,
    ) -> None:
        super().__init__(errors=errors, takes_unlimited=takes_unlimited)
        self._streams_usage = streams_usage
        self._rename = tuple((rename or {}).items())

    def encode(self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "") -> UpstreamRequest:
        is_unlimited = call.max_tokens is None and not self._takes_unlimited
        fields = (without_unlimited(call) if is_unlimited else call.fields).copy()
        fields["model"] = _model_name(candidate.model)
        if not self._streams_usage:
            fields.pop("stream_options", None)
        elif call.stream and not call.wants_usage:
            fields["stream_options"] = _with_usage(fields.get("stream_options"))
        rename = candidate.endpoint.rename
        for name, theirs in self._rename if rename is None else rename:
            if name in fields:
                fields[theirs] = fields.pop(name)
        target, headers = _envelope(candidate.endpoint, key, call.path, "application/json", call.forwarded)
        return UpstreamRequest(b"POST", target, _ID_LINE % (headers, attempt_id.encode()), encode_object(fields))

    def decode(self, call: Call, body: bytes) -> Answer | Failure:  # noqa: ARG002
        try:
            plain = _PLAIN_DECODER.decode(body)
        except UNREADABLE:
            return _decode_odd(body, self._errors)
        if plain.usage is None or plain.error is not None:
            return _decode_odd(body, self._errors)
        return Answer(body, plain.usage.normalised(plain.service_tier))

    def as_stream(self, call: Call, body: bytes) -> bytes | None:
        return as_stream(call, body)

    def decoder(self, call: Call) -> StreamDecoder:
        return OpenAIStream(keep_usage=call.wants_usage, choices=call.choices, errors=self._errors)


def _decode_odd(body: bytes, errors: Rules) -> Answer | Failure:
    """An answer that is not as documented: an error inside, no usage or a strange one, a mark of byte order in front,
    or nothing readable."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        probe = _DECODER.decode(body)
    except UNREADABLE as error:
        return Failure(failures.MALFORMED_ANSWER, f"the provider's answer cannot be read: {error}")
    if not is_empty(probe.error):
        return classify_inside(body, errors)
    return Answer(body, read_usage(probe.usage))


@lru_cache(maxsize=4096)
def _model_name(model: str) -> Raw:
    return Raw(encode_object(model))


def _with_usage(options: Raw | None) -> Raw:
    if options is None or bytes(options) == b"null":
        return _INCLUDE_USAGE
    merged = msgspec.json.decode(options, type=dict[str, Raw])
    return Raw(encode_object({**merged, "include_usage": Raw(b"true")}))


@lru_cache(maxsize=4096)
def _envelope(
    endpoint: Endpoint, key: ProviderKey, path: str, content_type: str, forwarded: tuple[tuple[str, str], ...]
) -> tuple[bytes, bytes]:
    """Target and header lines. Cached by the identity of provider and key, so a new snapshot starts anew."""
    lines = _USER_AGENT
    if content_type:
        lines += f"content-type: {content_type}\r\n".encode("ascii")
    secret = key.secret.reveal()
    if secret:
        lines += f"authorization: Bearer {secret}\r\n".encode()
    lines += "".join(f"{name}: {value}\r\n" for name, value in forwarded).encode("ascii")
    return (endpoint.base_path + path).encode("ascii"), lines


# https://platform.openai.com/docs/api-reference/completions/create (`max_tokens`); vLLM and SGLang keep to it.
COMPLETION_TOKENS = 16
GENERATION = (Operation.CHAT, Operation.COMPLETION)
PASSED_THROUGH = tuple(Operation(name) for name in ("responses", "image", "audio", "moderation"))
ACCOUNT = (Operation.FILE, Operation.BATCH, Operation.OTHER)


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
    """A provider that speaks OpenAI's dialect, as one row of facts.

    `also` lists operations passed through beside these; `streams_usage` says whether it understands
    `stream_options.include_usage`, which is left out where it does not; `rename` maps OpenAI's field names to the
    provider's; `output_bound` is the field that a bound on a chat's answer is put into; `completion_tokens` is how long
    a text completion may be whose request does not say: 16 in OpenAI's dialect (`COMPLETION_TOKENS`), but some servers
    go on to the end; `errors` is what it says in its own way of a fault, laid over the shared table;
    `takes_unlimited` says whether it takes -1 for a bound of an answer that has none, which is left out where it does
    not.
    """
    codec = JsonCodec(streams_usage=streams_usage, rename=rename, errors=errors, takes_unlimited=takes_unlimited)
    codecs: dict[Operation, Codec] = {}
    if chat:
        codecs[Operation.CHAT] = codec
    if completions:
        codecs[Operation.COMPLETION] = codec
    if embeddings:
        codecs[Operation.EMBEDDING] = JsonCodec(errors=errors)
    passthrough = PassthroughCodec(errors=errors, takes_unlimited=takes_unlimited)
    for operation in also:
        codecs[operation] = passthrough
    return Provider(
        name, title, base_url, key_env, codecs, needs_key, docs, output_bound, rename or {}, completion_tokens, errors
    )
