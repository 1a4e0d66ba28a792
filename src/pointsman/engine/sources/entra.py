"""Tokens of Microsoft Entra ID: of an application, and of the managed identity of a machine.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference. The variables of the
environment are those of Microsoft's own libraries:
https://learn.microsoft.com/python/api/overview/azure/identity-readme#environment-variables
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec.structs import replace

from pointsman.domain.origin import AccessToken, EntraSource, Secret
from pointsman.engine.sources.exchange import (
    Machine,
    Minted,
    RefusedError,
    UnavailableError,
    end_of,
    hiding,
    moment_in,
    token_in,
)

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MACHINE = "http://169.254.169.254"
_PATH = "/metadata/identity/oauth2/token"
_LATE = frozenset({404, 410})  # the service is being updated, as its manual says
_NOWHERE = (
    "no ambient identity: the environment has no AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or "
    "AZURE_FEDERATED_TOKEN_FILE, and the machine's identity service does not answer ({}); set one of them"
)


async def mint(source: EntraSource, machine: Machine) -> Minted:
    """Fetch a token. Raises `RefusedError` and `UnavailableError`."""
    if source.identity == "application":
        return await _of_application(source, machine)
    if source.identity == "managed_identity":
        return await _of_machine(source, machine)
    named = _application_in(source, machine.environ)
    if named is not None:
        with hiding(named):
            return await _of_application(named, machine)
    try:
        return await _of_machine(source, machine)
    except UnavailableError as error:  # perhaps there is no such service, and perhaps it is late
        raise UnavailableError(error.kind, _NOWHERE.format(error)) from error


def _application_in(source: EntraSource, environ: Mapping[str, str]) -> EntraSource | None:
    """Return the application that the environment names, or `None`."""
    tenant, client_id = environ.get("AZURE_TENANT_ID"), source.client_id or environ.get("AZURE_CLIENT_ID")
    secret, file = environ.get("AZURE_CLIENT_SECRET"), environ.get("AZURE_FEDERATED_TOKEN_FILE")
    if not tenant or not client_id or not (secret or file):
        return None
    authority = environ.get("AZURE_AUTHORITY_HOST") or source.authority
    authority = authority if "://" in authority else f"https://{authority}"
    return replace(
        source,
        tenant=tenant,
        client_id=client_id,
        client_secret=Secret(secret) if secret else None,
        token_file=file or "",
        authority=authority.rstrip("/"),
    )


async def _of_application(source: EntraSource, machine: Machine) -> Minted:
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


async def _of_machine(source: EntraSource, machine: Machine) -> Minted:
    """Request a token of the machine's identity: from App Service and its like, else from the metadata service."""
    environ, now = machine.environ, machine.clock()
    query = {"resource": source.scope.removesuffix("/.default")}
    if source.client_id:
        query["client_id"] = source.client_id
    endpoint, header = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if endpoint and header:
        service, headers = "the identity service of the app", {"x-identity-header": header}
        url = f"{endpoint}?{urlencode({'api-version': '2019-08-01', **query})}"
    elif endpoint:
        raise RefusedError("IDENTITY_ENDPOINT is set without IDENTITY_HEADER, as on Azure Arc, which is not supported")
    else:
        service, headers = "the machine's identity service", {"metadata": "true"}
        base = (environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or _MACHINE).rstrip("/")
        url = f"{base}{_PATH}?{urlencode({'api-version': '2018-02-01', **query})}"
    answer = await machine.ask(url, headers=headers, is_local=True)
    if answer.status in _LATE:
        raise UnavailableError(None, f"{service} answered with status {answer.status}")
    advice = "assign a managed identity to the machine or app"
    advice += (
        f", and check client_id {source.client_id}" if source.client_id else ", or set client_id to one of several"
    )
    token = token_in(answer, service, advice)
    end = moment_in(token.expires_on)
    return Minted(AccessToken(token.access_token), end if end is not None else end_of(token.expires_in, now))
