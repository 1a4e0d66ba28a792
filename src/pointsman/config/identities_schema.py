"""The part of the configuration file about callers who prove an identity instead of a virtual key."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pointsman.config.egress_schema import EgressSettings
from pointsman.config.limits_schema import BudgetSettings, RateLimitSettings
from pointsman.config.sections import Name, Section, Text

# Neither `none`, nor a secret that both sides know.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _expand_text(value: object) -> object:
    return [value] if isinstance(value, str) else value


class JwtSettings(Section):
    """Tokens that an issuer signs for its workloads or users: JSON Web Tokens."""

    issuer: Text
    """The issuer, exactly as in the claim `iss`, such as `https://token.actions.githubusercontent.com`."""
    audience: Annotated[
        list[Text], Field(min_length=1, max_length=32), BeforeValidator(_expand_text, json_schema_input_type=str)
    ]
    """The audiences of this gateway. The claim `aud` of a token must have one of them."""
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = ["RS256", "ES256", "EdDSA"]
    """The algorithms of signatures to accept."""
    keys: Text | None = None
    """The issuer's public keys as a JSON Web Key Set: its address, `https://…`, or `file:PATH`. A file is read again
    when it changes. Default: the address that `/.well-known/openid-configuration` of the issuer names."""
    subject: Text = "sub"
    """The claim that names the caller. Its limits and records are those of this name. A claim in another one is written
    with dots, such as `kubernetes.io.namespace`."""
    clock_skew_s: Annotated[float, Field(ge=0, le=300)] = 60.0
    """The difference to the issuer's clock that is tolerated in the times of a token, in seconds."""
    refresh_s: Annotated[float, Field(ge=60, le=86_400)] = 300.0
    """The interval at which the keys are read again, in seconds. An unknown key makes the gateway read them at once,
    but at most every 30 seconds."""
    keys_max_age_s: Annotated[float, Field(ge=300, le=30 * 86_400)] = 86_400.0
    """The longest time that the gateway trusts the keys while it cannot read them again, in seconds."""
    egress: EgressSettings | None = None
    """Network settings for this issuer. Each field replaces that of the global `egress`."""


class ClientCertificateSettings(Section):
    """Certificates that clients present when they connect. `server.tls.client_ca_file` must be set."""

    subject: Literal["uri", "dns", "email", "common_name"] = "uri"
    """The part of the certificate that names the caller: its URI, such as `spiffe://example.com/ingest`, its DNS name,
    its e-mail address or its common name. It must have exactly one."""


class ClaimSettings(Section):
    """The claims that set properties of a caller."""

    team: Text | None = None
    """The claim with the name of the caller's team. A caller whose team does not exist is rejected. Without the claim,
    the team is that of the identity. If that has none, the caller is rejected."""
    customer: Text | None = None
    """The claim with the name of the caller's customer, in the same way. It cannot be used with `team`."""
    labels: Annotated[dict[Name, Text], Field(max_length=16)] = {}
    """Claims by label, such as `{repository: repository}`. A claim is left out if it is not a text of at most 255
    characters."""


class EachCallerSettings(Section):
    """The limits of each caller of an identity."""

    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Limits of the money that each caller may spend."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Limits of the requests and tokens that each caller may use."""
