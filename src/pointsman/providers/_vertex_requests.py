"""Requests for Vertex AI: their addresses, paths and credentials, and those for its lists of models.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/publishers.models/list names models of all regions.
"""

import re
from functools import lru_cache
from urllib.parse import quote

from msgspec.structs import replace

from pointsman.domain.origin import AccessToken, Secret
from pointsman.domain.targets import Endpoint
from pointsman.providers._model_lists import next_by, vertex_models
from pointsman.providers.api import ModelLists, bearer, reading
from pointsman.providers.gemini import api_key

_MULTI_REGIONS = frozenset({"us", "eu"})
# Publishers of open models that Google serves:
# https://cloud.google.com/vertex-ai/generative-ai/docs/maas/use-open-models
_OPEN = ("deepseek-ai", "meta", "minimaxai", "moonshotai", "openai", "qwen", "xai", "zai-org")
_PUBLISHERS = ("google", "anthropic", *_OPEN)


def address_of(region: str) -> str:
    """Return the address of a region. https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations"""
    if region in _MULTI_REGIONS:
        return f"https://aiplatform.{region}.rep.googleapis.com/v1"
    return f"https://{'' if region in ('', 'global') else f'{region}-'}aiplatform.googleapis.com/v1"


def credential_line(secret: Secret) -> bytes:
    """Return the header line of a token, or of an API key."""
    return bearer(secret) if isinstance(secret, AccessToken) else api_key(secret)


@lru_cache(maxsize=4096)  # of models
def _path(project: str, region: str, model: str, publisher: str, method: str) -> bytes:
    """Return the end of a request's path. The express mode has no project."""
    parts = model.removeprefix("publishers/").replace("/models/", "/").split("/")
    if len(parts) == 2:
        publisher, model = parts
    place = f"/projects/{quote(project, safe='')}/locations/{quote(region, safe='')}" if project else ""
    return f"{place}/publishers/{quote(publisher, safe='')}/models/{quote(model, safe='@')}:{method}".encode("ascii")


def target_of(endpoint: Endpoint, model: str, publisher: str, method: str) -> bytes:
    return endpoint.base_path.encode("ascii") + _path(endpoint.project, endpoint.region, model, publisher, method)


def _at_beta(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint at the version that has lists of models. The first one has none."""
    return replace(endpoint, base_path=re.sub(r"/v1$", "/v1beta1", endpoint.base_path))


LISTS = ModelLists(
    request=reading(credential_line),
    paths=tuple(f"/publishers/{name}/models?pageSize=1000" for name in _PUBLISHERS),
    names=vertex_models,
    next_page=next_by("nextPageToken", "pageToken"),
    at=_at_beta,
    needs_right=True,
)
