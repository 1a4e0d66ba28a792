"""Amazon Bedrock. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html

Most models are called by Converse, which no client speaks, so every request is translated. Converse has no place for
some fields of Anthropic's Messages. So Claude is called by InvokeModel, whose body is a Messages request:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html

The path names the model: its id, that of an inference profile, or an ARN. A request is signed with AWS keys, or has an
API key of Bedrock as a bearer token: https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html. Models are
listed at another address, which keys for inference may not call, so the provider lists none.
"""

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._bedrock_answers import ERRORS, amazon_failure, judge, usage_in
from pointsman.providers._bedrock_claude import CLAUDE
from pointsman.providers._bedrock_requests import path_of, sent
from pointsman.providers._error_table import Rules
from pointsman.providers._translated_stream import UpstreamStream
from pointsman.providers._usage_scan import JsonScan
from pointsman.providers.api import NO_STREAM, Form, Provider, StreamDecoder, WholeAnswer
from pointsman.wire.json_object import encode_object
from pointsman.wire.upstreams.bedrock import HALVES
from pointsman.wire.upstreams.bedrock.frames import converse_splitter
from pointsman.wire.upstreams.bedrock.models import REGIONS, fitted

NAME = "bedrock"


def _address(region: str) -> str:
    """Return the address in a region, which the configuration requires if it sets no address."""
    return f"https://bedrock-runtime.{region or 'us-east-1'}.amazonaws.com"


class ConverseCodec(Struct, frozen=True, kw_only=True, eq=False):
    """A codec that sends the translated fields to the path of the model."""

    dialect: str = NAME
    is_translating: bool = False
    errors: Rules = ERRORS
    scan = JsonScan
    usage_in = staticmethod(usage_in)

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,
    ) -> UpstreamRequest:
        model = candidate.model_at(key)
        path = path_of(model, "converse-stream" if call.stream else "converse")
        known = candidate.model if model.startswith("arn:") else model
        return sent(candidate, key, path, encode_object(fitted(call.fields, known, call.max_tokens)), now_unix_s)

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "events" if call.stream else "whole"

    def decode(
        self,
        call: Call,  # noqa: ARG002
        body: bytes,
        *,
        as_stream: bool = False,
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> WholeAnswer | failures.Failure:
        found = judge(body, self.errors)
        return NO_STREAM if as_stream and isinstance(found, WholeAnswer) else found

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return UpstreamStream(HALVES, errors=self.errors, max_event_bytes=max_event_bytes, splitter=converse_splitter)

    def counts(self, call: Call, *, is_committed: bool) -> bool:  # noqa: ARG002
        return call.stream

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> failures.Failure:
        return amazon_failure(status, headers, body, now_unix_s, self.errors)


PROVIDER = Provider(
    name=NAME,
    title="Amazon Bedrock",
    base_url=None,
    key_env="AWS_BEARER_TOKEN_BEDROCK",
    codecs={"chat": ConverseCodec()},
    docs="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-api.html",
    errors=ERRORS,
    credentials=("value", "aws"),
    takes={"region": frozenset({"value", "aws"})},
    regional_url=_address,
    families={"*claude*": CLAUDE},
    regions=REGIONS,
    splitter=converse_splitter,
)
