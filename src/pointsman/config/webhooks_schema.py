"""The part of the configuration file about receivers of webhooks."""

from typing import Annotated

from pydantic import Field

from pointsman.config.credentials_schema import Reference
from pointsman.config.egress_schema import EgressSettings
from pointsman.config.sections import HeaderName, Section, Text


class WebhookSettings(Section):
    """A receiver of signed messages by the rules of Standard Webhooks. It must be at a public address, or at one that
    `egress.allow_private` lists."""

    url: Text
    """The address, `https://…`. Its query is not allowed, since it may hold a secret: use `headers`."""
    secrets: Annotated[list[Reference], Field(min_length=1, max_length=4)]
    """The secrets that sign each message: references to `whsec_` and 24 to 64 bytes in base64. To replace one, list
    both until the receiver knows the new one."""
    headers: Annotated[dict[HeaderName, Reference], Field(max_length=16)] = {}
    """Headers of each message, by name. Each value is a reference, `env.NAME` or `file:PATH`."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """The longest time of one delivery, in seconds."""
    egress: EgressSettings | None = None
    """Network settings for this receiver. Each field replaces that of the global `egress`."""
