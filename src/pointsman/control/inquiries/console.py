"""The settings of logins at the console, for the admin process, which has no configuration of its own."""

from msgspec import Struct

from pointsman.control.recipients import Recipient
from pointsman.domain.rights import RoleGrant


class ConsoleInquiry(Struct, frozen=True, tag="console"):
    """Answered by one `LoginSettings`."""


class SignOnProvider(Recipient, frozen=True, kw_only=True):
    """An identity provider. `client_secret` is empty for a public client. `groups` are the roles of each group, and
    `default_roles` those of every user. Sessions are checked again after `recheck_s`."""

    name: str
    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...]
    groups_claim: str
    groups: dict[str, tuple[RoleGrant, ...]]
    default_roles: tuple[RoleGrant, ...]
    recheck_s: float

    def __repr__(self) -> str:
        return super().__repr__()


class LoginSettings(Struct, frozen=True, kw_only=True):
    """The settings. `public_url` is the address for browsers, without a slash at its end. Requests of `trusted_proxies`
    report the address of their client. Times are in seconds."""

    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    idle_s: float = 3600.0
    max_s: float = 43_200.0
    sign_on: tuple[SignOnProvider, ...] = ()

    def provider(self, name: str) -> SignOnProvider | None:
        """Return the identity provider with a name."""
        return next((one for one in self.sign_on if one.name == name), None)
