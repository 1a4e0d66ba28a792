"""Amazon Bedrock. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html

Most models are called by Converse, which no client speaks, so every request is translated. Converse has no place for
some fields of Anthropic's Messages. So Claude is called by InvokeModel, whose body is a Messages request:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html. The embeddings of
Titan and Cohere are made by InvokeModel too.

The path names the model: its id, that of an inference profile, or an ARN. A request is signed with AWS keys, or has an
API key of Bedrock as a bearer token: https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html. Models and
inference profiles are listed at another address of the same region, and by a right of their own.
"""

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._bedrock_answers import ERRORS, amazon_failure, judge, usage_in
from pointsman.providers._bedrock_claude import CLAUDE
from pointsman.providers._bedrock_embeddings import COHERE, TITAN
from pointsman.providers._bedrock_requests import LISTS, path_of, sent
from pointsman.providers._error_table import Rules
from pointsman.providers._judged import JudgedCodec
from pointsman.providers._translated_stream import UpstreamStream
from pointsman.providers.api import Provider, StreamDecoder, WholeAnswer
from pointsman.wire.upstreams.bedrock import HALVES
from pointsman.wire.upstreams.bedrock.frames import converse_splitter
from pointsman.wire.upstreams.bedrock.models import REGIONS, fitted

NAME = "bedrock"


def _address(region: str) -> str:
    """Return the address in a region, which the configuration requires if it sets no address."""
    return f"https://bedrock-runtime.{region or 'us-east-1'}.amazonaws.com"


class ConverseCodec(JudgedCodec, frozen=True, kw_only=True, eq=False):
    """A codec that sends the translated fields to the path of the model."""

    dialect: str = NAME
    errors: Rules = ERRORS
    usage_in = staticmethod(usage_in)

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,
    ) -> UpstreamRequest:
        path = path_of(candidate.model_at(key), "converse-stream" if call.stream else "converse")
        return sent(candidate, key, path, call.fields, now_unix_s)

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:  # noqa: ARG002
        return judge(body, self.errors)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return UpstreamStream(HALVES, errors=self.errors, max_event_bytes=max_event_bytes, splitter=converse_splitter)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return amazon_failure(status, headers, body, now_unix_s, self.errors)


PROVIDER = Provider(
    name=NAME,
    title="Amazon Bedrock",
    base_url=None,
    key_env="AWS_BEARER_TOKEN_BEDROCK",
    codecs={"chat": ConverseCodec()},
    lists=LISTS,
    docs="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-api.html",
    adapt=fitted,
    errors=ERRORS,
    credentials=("value", "aws"),
    takes={"region": frozenset({"value", "aws"})},
    regional_url=_address,
    families={"*claude*": CLAUDE, "*cohere.embed*": COHERE, "*titan-embed-text*": TITAN},
    regions=REGIONS,
    splitter=converse_splitter,
)
