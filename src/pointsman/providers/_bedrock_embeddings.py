"""Embeddings at Amazon Bedrock, by InvokeModel. The body is that of the model's author.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
"""

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._bedrock_answers import ERRORS, amazon_failure
from pointsman.providers._bedrock_requests import path_of, sent
from pointsman.providers._embeddings import EmbedderCodec
from pointsman.providers._error_table import Rules
from pointsman.providers.api import Provider


class InvokedEmbeddings(EmbedderCodec, frozen=True, kw_only=True, eq=False):
    """A codec that sends a request for embeddings as the body of InvokeModel."""

    errors: Rules = ERRORS

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,
    ) -> UpstreamRequest:
        path = path_of(candidate.model_at(key), "invoke")
        return sent(candidate, key, path, call.fields, now_unix_s)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return amazon_failure(status, headers, body, now_unix_s, self.errors)


def _embedder(name: str, title: str, dialect: str) -> Provider:
    return Provider(
        name=name,
        title=title,
        base_url=None,
        key_env=None,
        codecs={"embedding": InvokedEmbeddings(dialect=dialect)},
        errors=ERRORS,
    )


TITAN = _embedder("bedrock-titan-embeddings", "Titan's embeddings at Amazon Bedrock", "titan")
COHERE = _embedder("bedrock-cohere-embeddings", "Cohere's embeddings at Amazon Bedrock", "cohere")
