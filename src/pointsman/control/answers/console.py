"""The settings of logins at the console."""

from pointsman.config.settings import IdentityProvider
from pointsman.control.inquiries.console import ConsoleInquiry, LoginSettings, SignOnProvider
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.recipients import recipient_fields


async def _settings(_: ConsoleInquiry, parts: ControlParts) -> list[LoginSettings]:
    current = parts.configuration.current
    console = current.console
    settings = LoginSettings(
        public_url=console.public_url,
        trusted_proxies=current.snapshot.access.trusted_proxies,
        idle_s=console.idle_s,
        max_s=console.max_s,
        sign_on=tuple(map(_provider, console.sign_on)),
    )
    return [settings]


def _provider(provider: IdentityProvider) -> SignOnProvider:
    return SignOnProvider(
        **recipient_fields(provider),
        name=provider.name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret.reveal() if provider.client_secret is not None else "",
        scopes=provider.scopes,
        groups_claim=provider.groups_claim,
        groups=dict(provider.groups),
        default_roles=provider.default_roles,
        recheck_s=provider.recheck_s,
    )


ANSWERS: Answers = {ConsoleInquiry: _settings}
