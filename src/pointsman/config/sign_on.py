"""Compiles `console.sign_on`: identity providers, and the roles of their groups."""

from pointsman.config.problems import Findings
from pointsman.config.references import BadReference, References
from pointsman.config.schema import Document
from pointsman.config.servers import GUARDED, compile_server
from pointsman.config.settings import IdentityProvider
from pointsman.config.sign_on_schema import SignOnSettings
from pointsman.config.source import Location
from pointsman.domain.network import is_loopback
from pointsman.domain.origin import Secret
from pointsman.domain.permissions import OWNER
from pointsman.domain.rights import EVERYTHING, RoleGrant, problem_with_scope


class _CalledServer:
    """The fields of a server that the gateway calls. An identity provider gets no headers of its own."""

    headers: dict[str, str] = {}  # noqa: RUF012 -- never changed

    def __init__(self, settings: SignOnSettings) -> None:
        self.timeout_s = settings.timeout_s
        self.egress = settings.egress


def compile_sign_on(document: Document, references: References, findings: Findings) -> tuple[IdentityProvider, ...]:
    """Return the identity providers that have no faults; the faults are among the findings."""
    console, found = document.console, []
    if console.sign_on and console.public_url is None:
        message = "is required for sign_on: identity providers send browsers back to this address"
        findings.error(("console", "public_url"), message)
    for name, settings in console.sign_on.items():
        place: Location = ("console", "sign_on", name)
        one = _provider(name, settings, place, document=document, references=references, findings=findings)
        if one is not None:
            found.append(one)
    issuers = [one.issuer for one in found]
    if len(set(issuers)) < len(issuers):
        findings.error(
            ("console", "sign_on"), "two entries have the same issuer; remove one, so that users are the same"
        )
    return tuple(found)


def _provider(
    name: str,
    settings: SignOnSettings,
    place: Location,
    *,
    document: Document,
    references: References,
    findings: Findings,
) -> IdentityProvider | None:
    issuer = settings.issuer
    address = ("issuer", issuer)
    server = compile_server(
        _CalledServer(settings), document.egress, place, references, findings, base=GUARDED, address=address
    )
    if issuer.startswith("http://") and server is not None and not is_loopback(server.origin.host):
        findings.error((*place, "issuer"), "must begin with https://: an identity provider decides who may come in")
    if "openid" not in settings.scopes:
        findings.error((*place, "scopes"), "must contain openid")
    groups = tuple(
        (group, _roles(texts, (*place, "groups", group), findings)) for group, texts in settings.groups.items()
    )
    default_roles = _roles(settings.default_roles, (*place, "default_roles"), findings)
    if not groups and not default_roles:
        findings.warning(place, "no group has a role, so only users with a role of their own can log in")
    secret = _secret(settings.client_secret, (*place, "client_secret"), references, findings)
    if server is None:
        return None
    return IdentityProvider(
        origin=server.origin,
        path=server.path,
        headers=server.headers,
        network=server.network,
        timeout_s=server.timeout_s,
        name=name,
        issuer=issuer,
        client_id=settings.client_id,
        client_secret=secret,
        scopes=tuple(dict.fromkeys(settings.scopes)),
        groups_claim=settings.groups_claim,
        groups=groups,
        default_roles=default_roles,
        recheck_s=settings.recheck_s,
    )


def _secret(text: str | None, place: Location, references: References, findings: Findings) -> Secret | None:
    if text is None:
        return None
    try:
        return references.resolve(text)
    except BadReference as error:
        findings.error(place, str(error))
        return None


def _roles(texts: list[str], place: Location, findings: Findings) -> tuple[RoleGrant, ...]:
    grants = []
    for number, text in enumerate(texts):
        role, _, scope = text.partition("@")
        grant = RoleGrant(role, scope or EVERYTHING)
        problem = problem_with_scope(grant.scope)
        if role == OWNER:
            problem = f"no group gives the role {OWNER}; give it to users, or choose admin"
        if problem is not None:
            findings.error((*place, number), problem)
        grants.append(grant)
    return tuple(grants)
