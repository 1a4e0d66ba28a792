"""Requests for Amazon Bedrock: their paths and credentials, and those for its lists of models and inference profiles.

https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html
"""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from msgspec.structs import replace

from pointsman.domain.calls import RequestHead
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import AwsKeys, secret_of
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey
from pointsman.providers._model_lists import bedrock_models, next_by
from pointsman.providers._sigv4 import SigningScope, UnsignedRequest, signature_lines
from pointsman.providers.api import ModelLists, bearer, cached_head
from pointsman.wire.json_object import encode_object

_HEAD = RequestHead(path="", dialect="bedrock", content_type="application/json")
_RUNTIME = "bedrock-runtime"
_JSON = (("content-type", "application/json"),)


@lru_cache(maxsize=4096)  # of models
def path_of(model: str, method: str) -> str:
    """Return the path of an operation on a model. Its name is one segment."""
    return f"/model/{quote(model, safe='')}/{method}"


def sent(
    candidate: Candidate, key: ProviderKey, path: str, fields: Mapping[str, object] | None, now_unix_s: float
) -> UpstreamRequest:
    """Return a request with its credential. Without `fields` it reads something."""
    endpoint, body = candidate.endpoint, b"" if fields is None else encode_object(fields)
    method = "GET" if fields is None else "POST"
    target = endpoint.base_path + path
    _, lines = cached_head("", key, _HEAD, "application/json", auth=None)
    credential = key.credential
    if isinstance(credential, AwsKeys):
        unsigned = UnsignedRequest(method, endpoint.origin.authority, target, body, _JSON)
        scope = SigningScope(endpoint.region, "bedrock")
        lines += signature_lines(unsigned, credential, scope, now_unix_s, key.cached_heads.known)
    else:
        lines += bearer(secret_of(credential))
    return UpstreamRequest(method.encode("ascii"), target.encode("ascii"), lines, body)


def _request(candidate: Candidate, key: ProviderKey, path: str, now_unix_s: float) -> UpstreamRequest:
    return sent(candidate, key, path, None, now_unix_s)


def _at_control(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint at the address that lists models: https://docs.aws.amazon.com/general/latest/gr/bedrock.html.
    An address that is not one of Amazon's public ones is kept."""
    host = endpoint.origin.host
    if not host.startswith(_RUNTIME):
        return endpoint
    return replace(endpoint, origin=replace(endpoint.origin, host=f"bedrock{host.removeprefix(_RUNTIME)}"))


# Profiles of the account itself are not listed: their ids do not say which model they run, as `deployments` do.
LISTS = ModelLists(
    request=_request,
    paths=("/foundation-models", "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED"),
    names=bedrock_models,
    next_page=next_by("nextToken", "nextToken"),
    at=_at_control,
    needs_right=True,
)
