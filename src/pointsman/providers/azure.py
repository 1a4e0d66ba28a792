"""Azure OpenAI: OpenAI-compatible. https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle

Users name each deployment of a model themselves. At the address `https://NAME.openai.azure.com/openai/v1`, its name is
the model of a request. With an `api_version`, at `https://NAME.openai.azure.com/openai`, its name is in the path of
most requests: https://learn.microsoft.com/azure/ai-foundry/openai/reference. A token of Entra ID may replace the key:
https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity.
"""

from urllib.parse import quote

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Scope
from pointsman.domain.operations import Operation
from pointsman.domain.origin import AccessToken, Secret
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import ACCOUNT, COMPLETION_TOKENS, openai_compatible
from pointsman.providers.api import bearer

# An error has `code` and `message`, but seldom a `type`. A prompt that its filter rejects has OpenAI's code
# `content_filter`, and an `innererror` with the categories. An unknown path is "Resource not found". An unknown
# deployment has the code `DeploymentNotFound`.
ERRORS = (
    rule(failures.UPSTREAM_UNSUPPORTED, 404, starts="resource not found", scope=Scope.OPERATION),
    rule(failures.UPSTREAM_UNSUPPORTED, 400, codes=("operationnotsupported",)),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, 404, codes=("deploymentnotfound",)),
    rule(
        failures.CREDENTIAL_REJECTED,
        403,
        starts="access denied due to virtual network|public (?:network )?access is disabled",
    ),
    rule(failures.UPSTREAM_OVERLOADED, 429, starts="(?:the )?system is (?:currently )?experiencing high demand"),
)

# Those whose dated paths contain the deployment.
_DEPLOYED = frozenset[Operation]({"chat", "completion", "embedding", "image", "audio"})


def _api_key(secret: Secret) -> bytes:
    """Return the header line of a key, or of a token of Entra ID."""
    if isinstance(secret, AccessToken):
        return bearer(secret)
    value = secret.reveal()
    return b"api-key: %b\r\n" % value.encode() if value else b""


def _locate(call: Call, candidate: Candidate, key: ProviderKey) -> tuple[str, bytes]:
    endpoint = candidate.endpoint
    base_path, version = endpoint.base_path, endpoint.api_version
    if not version:
        return base_path, b""
    if call.operation in _DEPLOYED and call.model and not base_path.endswith("/v1"):
        base_path = f"{base_path}/deployments/{_segment(candidate.model_at(key))}"
    return base_path, b"?api-version=" + version.encode()


def _segment(name: str) -> str:
    """Return a name as one segment of a path."""
    encoded = quote(name, safe="")
    return encoded if encoded.strip(".") else encoded.replace(".", "%2E")


PROVIDER = openai_compatible(
    "azure",
    "Azure OpenAI",
    None,
    "AZURE_OPENAI_API_KEY",
    completion_tokens=COMPLETION_TOKENS,
    also=("responses", "image", "audio", *ACCOUNT),
    auth=_api_key,
    locate=_locate,
    has_deployments=True,
    credentials=("value", "entra"),
    lists_models=False,  # it lists the models that can be deployed, not those that are
    errors=ERRORS,
    docs="https://learn.microsoft.com/azure/ai-foundry/openai/",
)
