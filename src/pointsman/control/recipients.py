"""The servers that the admin process sends data to. Control knows them from the configuration, and admin asks for them.

Structs of them have secrets, which admin gets for nothing else. So they do not show their fields.
"""

from typing import TypedDict

from msgspec import Struct

from pointsman.config.settings import RemoteServer, WebhookTarget
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret


class Recipient(Struct, frozen=True, kw_only=True):
    """A server, and the way to it. `path` is the beginning of the target of each request. `headers` and
    `proxy_authorization` are secrets. `proxy` is scheme, host and port. Times are in seconds."""

    scheme: str
    host: str
    port: int
    path: str
    headers: dict[str, str]
    timeout_s: float
    connect_timeout_s: float
    proxy: tuple[str, str, int] | None = None
    proxy_authorization: str = ""
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    is_public_only: bool = False
    allow_private: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scheme}://{self.host}:{self.port})"

    @property
    def origin(self) -> Origin:
        return Origin(self.scheme, self.host, self.port)

    @property
    def network(self) -> Network:
        """The path to the server, over one connection."""
        return Network(
            proxy=Origin(*self.proxy) if self.proxy is not None else None,
            proxy_authorization=Secret(self.proxy_authorization) if self.proxy_authorization else None,
            ca_file=self.ca_file,
            client_cert=self.client_cert,
            client_key=self.client_key,
            connect_timeout_s=self.connect_timeout_s,
            max_connections=1,
            is_public_only=self.is_public_only,
            allow_private=self.allow_private,
        )


class WebhookRecipient(Recipient, frozen=True, kw_only=True):
    """A receiver of webhooks. `secrets` sign each message; there are several while one of them is replaced."""

    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return super().__repr__()


class RecipientFields(TypedDict):
    """The fields of a `Recipient`."""

    scheme: str
    host: str
    port: int
    path: str
    headers: dict[str, str]
    timeout_s: float
    connect_timeout_s: float
    proxy: tuple[str, str, int] | None
    proxy_authorization: str
    ca_file: str | None
    client_cert: str | None
    client_key: str | None
    is_public_only: bool
    allow_private: tuple[str, ...]


def recipient_fields(server: RemoteServer) -> RecipientFields:
    """Return the fields of the recipient for a server of the configuration, with its secrets."""
    network, proxy = server.network, server.network.proxy
    authorization = network.proxy_authorization
    return RecipientFields(
        scheme=server.origin.scheme,
        host=server.origin.host,
        port=server.origin.port,
        path=server.path,
        headers={name: secret.reveal() for name, secret in server.headers},
        timeout_s=server.timeout_s,
        connect_timeout_s=network.connect_timeout_s,
        proxy=(proxy.scheme, proxy.host, proxy.port) if proxy is not None else None,
        proxy_authorization=authorization.reveal() if authorization is not None else "",
        ca_file=network.ca_file,
        client_cert=network.client_cert,
        client_key=network.client_key,
        is_public_only=network.is_public_only,
        allow_private=network.allow_private,
    )


def webhook_recipient(target: WebhookTarget) -> WebhookRecipient:
    """Return the receiver of webhooks with its secrets."""
    return WebhookRecipient(**recipient_fields(target), secrets=tuple(secret.reveal() for secret in target.secrets))
