"""Requests for Amazon Bedrock: their paths and credentials.

https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html
"""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from pointsman.domain.calls import RequestHead
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import AwsKeys, secret_of
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._sigv4 import SigningScope, UnsignedRequest, signature_lines
from pointsman.providers.api import bearer, cached_head
from pointsman.wire.json_object import encode_object

_HEAD = RequestHead(path="", dialect="bedrock", content_type="application/json")
_JSON = (("content-type", "application/json"),)


@lru_cache(maxsize=4096)  # of models
def path_of(model: str, method: str) -> str:
    """Return the path of an operation on a model. Its name is one segment."""
    return f"/model/{quote(model, safe='')}/{method}"


def sent(
    candidate: Candidate, key: ProviderKey, path: str, fields: Mapping[str, object], now_unix_s: float
) -> UpstreamRequest:
    """Return a request with its credential."""
    endpoint, body = candidate.endpoint, encode_object(fields)
    target = endpoint.base_path + path
    _, lines = cached_head("", key, _HEAD, "application/json", auth=None)
    credential = key.credential
    if isinstance(credential, AwsKeys):
        unsigned = UnsignedRequest("POST", endpoint.origin.authority, target, body, _JSON)
        scope = SigningScope(endpoint.region, "bedrock")
        lines += signature_lines(unsigned, credential, scope, now_unix_s, key.cached_heads.known)
    else:
        lines += bearer(secret_of(credential))
    return UpstreamRequest(b"POST", target.encode("ascii"), lines, body)
