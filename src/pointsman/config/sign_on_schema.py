"""The part of the configuration file about users of the console, their sessions and single sign-on."""

from typing import Annotated

from pydantic import Field, StringConstraints

from pointsman.config.credentials_schema import Reference
from pointsman.config.egress_schema import EgressSettings
from pointsman.config.sections import Section, Text

Duration = Annotated[float, Field(ge=60, le=30 * 86_400)]
RoleText = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}(@[^\s]{1,300})?$")]
Roles = Annotated[list[RoleText], Field(min_length=1, max_length=100)]


class ConsoleSessionSettings(Section):
    """The duration of the sessions of users."""

    idle_s: Duration = 3600.0
    """A session without a request for so long ends, in seconds."""
    max_s: Duration = 43_200.0
    """A session ends after this time in any case, in seconds."""


class SignOnSettings(Section):
    """An identity provider that speaks OpenID Connect. It must be at a public address, or at one that
    `egress.allow_private` lists. Register `PUBLIC_URL/api/v1/login/NAME/callback` there as the address to return to."""

    issuer: Text
    """The issuer, such as `https://login.example.com/realms/company`. `/.well-known/openid-configuration` is appended
    to it."""
    client_id: Text
    """The id of the console at the identity provider."""
    client_secret: Reference | None = None
    """A reference to its secret, `env.NAME` or `file:PATH`. Default: none, for a public client."""
    scopes: Annotated[list[Text], Field(max_length=32)] = ["openid", "profile", "email"]
    """The scopes to request. Many identity providers have one for groups, and `offline_access` for refresh tokens."""
    groups_claim: Text = "groups"
    """The claim with the groups of a user, such as `groups` or `realm_access.roles`."""
    groups: Annotated[dict[Text, Roles], Field(max_length=1000)] = {}
    """Roles by group, each as `ROLE` or `ROLE@SCOPE`, such as `team-admin@team:research`. No group gives the role
    `owner`."""
    default_roles: Annotated[list[RoleText], Field(max_length=100)] = []
    """Roles of every user of the identity provider. Without any, users whose groups have no role are rejected."""
    recheck_s: Duration = 900.0
    """Sessions are checked with the identity provider this often, in seconds. Without a refresh token they end then,
    and the user logs in there again."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """The longest time of one request to the identity provider, in seconds."""
    egress: EgressSettings | None = None
    """Network settings for this identity provider. Each field replaces that of the global `egress`."""
