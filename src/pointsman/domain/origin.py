"""Origins of connections, and the secrets that belong to them."""

from typing import Literal, TypeAlias

from msgspec import Struct


class Secret:
    """A string that is hidden from `repr`, logs and encoded structs. `reference` names its source, so that a file can
    refer to it; it is `None` if the source is unknown."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str | None = None) -> None:
        self._value = value
        self.reference = reference if value else ""

    def reveal(self) -> str:
        """Return the string itself. It is called only to build a request head for the origin the secret belongs to."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be serialized")


class AccessToken(Secret):
    """A token that a source minted. It is sent as a bearer token, also by providers whose keys have a header of their
    own."""

    __slots__ = ()


class AwsKeys(Struct, frozen=True):
    """Keys that sign requests. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. The id is no
    secret. Temporary keys have a `session_token`."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


class AwsSource(Struct, frozen=True):
    """AWS keys that are fetched: those of the machine or container, or those of the role `role_arn`, which is assumed
    with `keys`, or with those of the machine. `region` is that of the token service."""

    keys: AwsKeys | None = None
    role_arn: str = ""
    region: str = ""


class GoogleSource(Struct, frozen=True):
    """Tokens of a Google account. `file` is the text of its JSON file. Without one, they are those of the application
    default credentials. https://cloud.google.com/docs/authentication/application-default-credentials"""

    file: Secret | None = None


EntraIdentity = Literal["application", "managed_identity", "ambient"]


class EntraSource(Struct, frozen=True, kw_only=True):
    """Tokens of Microsoft Entra ID. Those of an `application` are fetched by its `client_secret`, or by a token in
    `token_file`, which another service writes anew. Those of a `managed_identity` come from the machine, and
    `client_id` selects one of several. An `ambient` source is the application that the environment names, else the
    managed identity. `authority` is the address of the token service, and `scope` that of the tokens."""

    identity: EntraIdentity = "application"
    tenant: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    token_file: str = ""
    authority: str
    scope: str


# The means by which a provider knows its customer. A codec gets only a concrete one. The value of a source is fetched.
Concrete: TypeAlias = Secret | AwsKeys
Source: TypeAlias = AwsSource | GoogleSource | EntraSource
Credential: TypeAlias = Concrete | Source
# The names of the ways in which the configuration gives a credential.
CredentialKind = Literal["value", "aws", "google", "entra"]


def secret_of(credential: Credential) -> Secret:
    """Return a credential that is one secret. Raises `TypeError` for any other: a codec that takes those never asks."""
    if isinstance(credential, Secret):
        return credential
    raise TypeError(f"{type(credential).__name__} is no single secret")


def secrets_in(credential: Credential) -> tuple[Secret, ...]:
    """Return every secret of a credential."""
    if isinstance(credential, Secret):
        return (credential,)
    if isinstance(credential, AwsKeys):
        token = credential.session_token
        return (credential.secret_access_key,) if token is None else (credential.secret_access_key, token)
    if isinstance(credential, AwsSource):
        return secrets_in(credential.keys) if credential.keys is not None else ()
    found = credential.file if isinstance(credential, GoogleSource) else credential.client_secret
    return () if found is None else (found,)


_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origin(Struct, frozen=True):
    """Scheme, host and port: the owner of a connection and of a credential."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def bare_host(self) -> str:
        """The host without the brackets that an IPv6 address has in a URL."""
        return self.host.removeprefix("[").removesuffix("]")

    @property
    def address(self) -> str:
        """Host and port as written in a URL."""
        host = self.bare_host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host header, without the default port of the scheme."""
        return self.address.removesuffix(_DEFAULT_PORTS.get(self.scheme, "-"))
