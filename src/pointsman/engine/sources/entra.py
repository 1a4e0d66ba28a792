"""Tokens of Microsoft Entra ID, by the client credentials flow.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import asyncio

from pointsman.domain.origin import AccessToken, EntraSource
from pointsman.engine.sources.exchange import Machine, Minted, end_of, token_in

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def mint(source: EntraSource, machine: Machine) -> Minted:
    """Fetch a token. Raises `RefusedError` and `UnavailableError`."""
    fields = {"client_id": source.client_id, "scope": source.scope, "grant_type": "client_credentials"}
    if source.client_secret is not None:
        fields["client_secret"] = source.client_secret.reveal()
        advice = "check tenant, client_id and client_secret, and whether the secret has expired"
    else:
        fields["client_assertion_type"] = _ASSERTION
        fields["client_assertion"] = await asyncio.to_thread(
            machine.read, source.token_file, "the federated token file"
        )
        advice = "check tenant, client_id, and the federated credential of the application"
    now = machine.clock()
    answer = await machine.post_form(f"{source.authority}/{source.tenant}/oauth2/v2.0/token", fields)
    token = token_in(answer, "Entra ID", advice)
    return Minted(AccessToken(token.access_token), end_of(token.expires_in, now))
