"""Claude at Amazon Bedrock, by InvokeModel. The body is a request of Anthropic's Messages API, with a version instead
of the model.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
"""

from binascii import b2a_base64

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._anthropic_answers import AnthropicStream
from pointsman.providers._bedrock_answers import ERRORS, amazon_failure
from pointsman.providers._bedrock_requests import path_of, sent
from pointsman.providers._broken import malformed
from pointsman.providers._error_table import Rules
from pointsman.providers.anthropic import PREFILL, MessagesCodec, adapted, message_fields
from pointsman.providers.api import Provider, StreamDecoder, WholeAnswer
from pointsman.wire.dialects.anthropic.prompts import counts_tokens
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.upstreams.bedrock.frames import chunk_splitter
from pointsman.wire.upstreams.bedrock.models import without_geography

_VERSION = Raw(b'"bedrock-2023-05-31"')
# The variants of Anthropic's API that Bedrock knows; it rejects a request that names any other:
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
BETAS = (
    "computer-use-",
    "context-1m-",
    "context-management-",
    "dev-full-thinking-",
    "effort-",
    "fine-grained-tool-streaming-",
    "interleaved-thinking-",
    "output-128k-",
    "token-efficient-tools-",
    "tool-examples-",
    "tool-search-tool-",
)
_LABELS = ("service_tier",)  # of Anthropic's own service


class _Counted(Struct, rename="camel", gc=False):
    input_tokens: int


_COUNTED = msgspec.json.Decoder(_Counted)
_TEXTS = msgspec.json.Decoder(list[str])


class InvokeCodec(MessagesCodec, frozen=True, kw_only=True, eq=False):
    """A codec that sends a Messages request as the body of InvokeModel."""

    errors: Rules = ERRORS

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002
        now_unix_s: float = 0.0,
    ) -> UpstreamRequest:
        fields, model = message_fields(call), candidate.model_at(key)
        fields.pop("stream", None)
        dropped = [name for name in _LABELS if fields.pop(name, None) is not None]
        asked = [*_asked_for(call, fields)]
        betas = [name for name in asked if name.startswith(BETAS)]
        if len(betas) < len(asked):
            dropped.append("anthropic-beta")
        fields["anthropic_version"] = _VERSION
        if betas:
            fields["anthropic_beta"] = Raw(encode_object(betas))
        if counts_tokens(call):
            fields.setdefault("max_tokens", Raw(b"1"))  # required, and not counted
            inner = b2a_base64(encode_object(fields), newline=False).decode()
            body: dict[str, object] = {"input": {"invokeModel": {"body": inner}}}
            path = path_of(_base_of(call, candidate, model), "count-tokens")
        else:
            body = {**fields}
            path = path_of(model, "invoke-with-response-stream" if call.stream else "invoke")
        request = sent(candidate, key, path, body, now_unix_s)
        return replace(request, dropped=tuple(dropped)) if dropped else request

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:
        if counts_tokens(call):
            try:
                body = encode_object({"input_tokens": _COUNTED.decode(body).input_tokens})
            except UNREADABLE as error:
                return malformed(error)
        return super().judge(call, body)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return AnthropicStream(errors=self.errors, max_event_bytes=max_event_bytes, splitter=chunk_splitter)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return amazon_failure(status, headers, body, now_unix_s, self.errors)


def _base_of(call: Call, candidate: Candidate, sent_as: str) -> str:
    """Return the id of a Claude by its names, the server's first, and else by the catalog's names for it. CountTokens
    takes no profiles and no ARNs: https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html"""
    catalog, provider = call.snapshot.pricing.catalog, candidate.endpoint.catalog
    known = (name for place, name in catalog.serving(candidate.model) if place == provider)
    bases = (without_geography(name.rpartition("/")[2]) for name in (sent_as, candidate.model, *known))
    return next((base for base in bases if base.startswith("anthropic.")), sent_as)


def _asked_for(call: Call, fields: dict[str, Raw]) -> dict[str, None]:
    """Return the variants of the API that a client asks for, in a header or in the body."""
    found: dict[str, None] = {}
    for name, value in call.head.forwarded:
        if name == "anthropic-beta":
            found |= dict.fromkeys(part.strip() for part in value.split(",") if part.strip())
    inside = fields.pop("anthropic_beta", None)
    if inside is not None:
        try:
            found |= dict.fromkeys(_TEXTS.decode(inside))
        except UNREADABLE:
            fields["anthropic_beta"] = inside  # the provider says what is wrong with it
    return found


CLAUDE = Provider(
    name="bedrock-claude",
    title="Claude at Amazon Bedrock",
    base_url=None,
    key_env=None,
    codecs={"chat": InvokeCodec()},
    needs_bound=True,
    adapt=adapted,
    prefill=PREFILL,
    errors=ERRORS,
    splitter=chunk_splitter,
)
