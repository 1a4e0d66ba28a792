"""Compiles `governance.identities`: callers who prove an identity instead of a virtual key."""

from msgspec.structs import replace

from pointsman.config.conditions import located
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.schema import Document, IdentitySettings
from pointsman.config.source import Location, Source
from pointsman.config.token_trust import compile_trust
from pointsman.config.virtual_keys import KeyCompiler
from pointsman.domain.callers import CallerIdentity
from pointsman.domain.identity import VirtualKey
from pointsman.routing.conditions.programs import over_claims
from pointsman.routing.conditions.references import ConditionError


def compile_identities(
    document: Document, compiler: KeyCompiler, references: References, findings: Findings
) -> tuple[CallerIdentity, ...]:
    """Return the identities that have no faults. `compiler` has compiled the owners."""
    found = []
    for name, settings in document.governance.identities.items():
        place: Location = ("governance", "identities", name)
        if name in document.governance.virtual_keys:
            findings.error(place, "is also the name of a virtual key; choose another")
        one = _identity(name, settings, place, document, compiler)
        trust = None
        if settings.jwt is not None:
            trust = compile_trust(settings.jwt, document, (*place, "jwt"), references, findings)
        _check(settings, document, place, findings)
        if trust is not None or settings.jwt is None:
            found.append(replace(one, trust=trust))
    return tuple(found)


def _identity(
    name: str, settings: IdentitySettings, place: Location, document: Document, compiler: KeyCompiler
) -> CallerIdentity:
    key, claims, governance = compiler.rights(name, settings, place), settings.claims, document.governance
    owned: dict[str, VirtualKey] = {}
    if claims.team is not None or claims.customer is not None:
        own = tuple(limit for limit in key.limits if limit.level == "virtual_key")
        quiet = compiler.reporting_to(Findings(Source({}, {})))  # these faults are known already
        names = governance.teams if claims.team is not None else governance.customers
        for owner in names:
            of = {"team": owner, "customer": None} if claims.team is not None else {"team": None, "customer": owner}
            made = quiet.rights(name, settings.model_copy(update=of), place)
            shared = tuple(limit for limit in made.limits if limit.level != "virtual_key")
            owned[owner] = replace(made, limits=(*own, *shared))
    subject = settings.jwt.subject if settings.jwt is not None else ""
    if settings.client_certificate is not None:
        subject = settings.client_certificate.subject
    return CallerIdentity(
        name=name,
        key=key,
        each=compiler.each_of(name, settings.each_caller, (*place, "each_caller"), key),
        when=settings.when,
        subject=subject,
        labels=dict(claims.labels),
        team=claims.team,
        customer=claims.customer,
        owned=owned,
    )


def _check(settings: IdentitySettings, document: Document, place: Location, findings: Findings) -> None:
    if (settings.jwt is None) == (settings.client_certificate is None):
        findings.error(place, "set exactly one of `jwt` and `client_certificate`")
    tls = document.server.tls
    if settings.client_certificate is not None and (tls is None or tls.client_ca_file is None):
        findings.error(
            (*place, "client_certificate"),
            "requires server.tls.client_ca_file, the authorities that sign these certificates",
        )
    if settings.child_keys is not None:
        findings.error((*place, "child_keys"), "callers without a virtual key make no child keys; remove it")
    if settings.claims.team is not None and settings.claims.customer is not None:
        findings.error((*place, "claims", "customer"), "a caller with a team belongs to the team's customer; remove it")
    try:
        over_claims(settings.when)
    except ConditionError as error:
        findings.error((*place, "when"), located(error, settings.when))
    if settings.claims.team is None and settings.claims.customer is None:
        return
    for entry in document.governance.defaults:
        if entry.each == "virtual_key" and (entry.team is not None or entry.customer is not None):
            findings.warning(
                (*place, "claims"),
                "governance.defaults for each virtual key of a team or customer do not apply to callers whose team or "
                "customer is in a claim; set each_caller, or limits of the team",
            )
            return
