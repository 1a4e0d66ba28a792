"""The part of the configuration file about credentials that are more than one secret."""

from typing import Annotated, Literal

from pydantic import Field

from pointsman.config.sealing import AUTHORITY
from pointsman.config.sections import Section, Text
from pointsman.domain.origin import EntraIdentity

Reference = Annotated[str, Field(max_length=65_536)]


class AwsSettings(Section):
    """Keys of AWS, which sign requests. Without `access_key_id`, they are those of the machine or container."""

    access_key_id: Reference | None = None
    """The id of the key, or a reference to it, `env.NAME` or `file:PATH`."""
    secret_access_key: Reference | None = None
    """A reference to the secret key, `env.NAME` or `file:PATH`."""
    session_token: Reference | None = None
    """A reference to the token of temporary keys, `env.NAME` or `file:PATH`."""
    role_arn: Annotated[str | None, Field(pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/[!-~]{1,512}$")] = None
    """The role to assume with these keys. The gateway then renews its temporary keys."""


class EntraSettings(Section):
    """An identity of Microsoft Entra ID. The gateway fetches and renews its tokens."""

    identity: EntraIdentity = "application"
    """The kind of identity. An `application` has the fields below. A `managed_identity` is that of the machine, and
    `ambient` is the application in the environment (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, and `AZURE_CLIENT_SECRET` or
    `AZURE_FEDERATED_TOKEN_FILE`), else the machine's."""
    tenant: Text | None = None
    """The id of the tenant, or a reference to it, `env.NAME` or `file:PATH`."""
    client_id: Text | None = None
    """The id of the application, or of a managed identity that is assigned by users, or a reference to it, `env.NAME`
    or `file:PATH`."""
    client_secret: Reference | None = None
    """A reference to a secret of the application, `env.NAME` or `file:PATH`."""
    federated_token_file: Text | None = None
    """The file of a token that Kubernetes or another service writes and renews. It is read anew for each token of Entra
    ID."""
    authority: Text = AUTHORITY
    """The address of Entra ID. National clouds have their own."""
    scope: Text = "https://cognitiveservices.azure.com/.default"
    """The resource that the tokens are for. National clouds have their own."""


AwsField = Literal["ambient"] | AwsSettings
EntraField = Literal["managed_identity", "ambient"] | EntraSettings
