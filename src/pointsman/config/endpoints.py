"""Compiles `providers` into endpoints, each with a dialect, an address, keys and a network."""

from time import time
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from pointsman.catalog.tool_prices import TOOL_MODELS, TOOL_PRICES
from pointsman.config.catalog import CatalogInUse, by_name
from pointsman.config.credentials import ProviderKeyCompiler
from pointsman.config.limits import LimitCompiler
from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.process import compile_network
from pointsman.config.provider_addresses import address_of, check_cloud, guarded
from pointsman.config.references import References
from pointsman.config.requirements import compile_tags
from pointsman.config.schema import Deployments, Document, ProviderSettings
from pointsman.config.source import Location
from pointsman.domain.network import Network
from pointsman.domain.targets import Endpoint, family_of
from pointsman.providers import PROVIDERS, dialects_of, embedder_of, families_of, operations_of
from pointsman.providers.api import Provider


def compile_endpoints(
    document: Document,
    models: CatalogInUse,
    references: References,
    findings: Findings,
) -> dict[str, Endpoint]:
    """Return the valid endpoints, by name. The errors of the others are among the findings."""
    network = Network(connect_timeout_s=document.routing.timeouts.connect_s)
    network = compile_network(network, document.egress, ("egress",), references, findings)
    limits = LimitCompiler(findings)
    compiler = _EndpointCompiler(
        network=network,
        references=references,
        limits=limits,
        findings=findings,
        models=models,
        now_unix_s=time(),
    )
    compiled = {name: compiler.compile(name, provider) for name, provider in document.providers.items()}
    return {name: endpoint for name, endpoint in compiled.items() if endpoint is not None}


def _max_concurrency(record: Provider, settings: ProviderSettings) -> int | Literal["auto"] | None:
    """Return the configured bound of attempts in progress, else that of the type."""
    setting = settings.max_concurrency
    if setting is None:
        return "auto" if record.is_self_hosted else None
    return None if setting == "none" else setting


def _deployed(settings: ProviderSettings) -> list[str]:
    """Return the models with a deployment, at the provider or at one of its keys."""
    found = dict.fromkeys(settings.deployments)
    for key in settings.keys.values():
        found |= dict.fromkeys(key.deployments)
    return list(found)


class _EndpointCompiler(Struct, frozen=True, kw_only=True):
    """The inputs for each provider. `network` has the global egress settings, `models` the catalog and its lists.
    `now_unix_s` is the time, in Unix seconds."""

    network: Network
    references: References
    limits: LimitCompiler
    findings: Findings
    models: CatalogInUse
    now_unix_s: float

    def compile(self, name: str, settings: ProviderSettings) -> Endpoint | None:
        """Return the endpoint, or `None` if it is not usable. The reason is then among the findings."""
        location: Location = ("providers", name)
        limits = self.limits.compile("provider", name, settings, location)
        record = self._record(name, settings, location)
        if record is None:
            return None
        address = address_of(record, settings, location, self.findings)
        keys = ProviderKeyCompiler(record, settings, self.references, self.findings, self.now_unix_s).compile(location)
        network = self.network
        if settings.egress is not None:
            place = (*location, "egress")
            network = compile_network(network, settings.egress, place, self.references, self.findings)
        if address is None or keys is None:
            return None
        origin, base_path = address
        if self.findings.owner(location):  # callers of the admin API must not reach what only the machine can
            network = guarded(network, origin, (*location, "base_url"), self.findings)
        catalog = self._catalog(record, settings, origin.host, location)
        check_cloud(record, settings, location, self.findings)
        self._check_deployments(settings, catalog, location)
        self._check_families(record, settings, location)
        self._check_version(record, settings, base_path, location)
        serves = self._serves(record, settings, catalog, location)
        own_list = self.models.lists.providers.get(name)
        own_names = self._own_names(settings, catalog, own_list or [])
        return Endpoint(
            name=name,
            type=record.name,
            origin=origin,
            base_path=base_path,
            keys=tuple([replace(one, lacks=own_names.difference(one.deployments, one.serves)) for one in keys]),
            operations=operations_of(record),
            dialects=dialects_of(record),
            embedder=embedder_of(record),
            families=families_of(record),
            regions=record.regions,
            needs_bound=record.needs_bound,
            keeps_responses=record.keeps_responses,
            serves=serves,
            serves_only=bool(settings.serves.only) or (record.has_deployments and bool(serves)),
            tags=compile_tags(settings.tags, (*location, "tags"), self.findings, self.now_unix_s),
            network=network,
            limits=limits,
            catalog=catalog,
            listed=by_name(self.models.catalog, catalog, own_list) if own_list is not None else {},
            bills_unfinished=settings.bills_unfinished,
            quirks=record.quirks(catalog, settings.output_bound) if record.quirks is not None else None,
            default_output=record.default_output,
            tools=TOOL_PRICES.get(catalog, {}),
            tool_models=TOOL_MODELS.get(catalog, ()),
            max_concurrency=_max_concurrency(record, settings),
            deployments=dict(settings.deployments),
            api_version=settings.api_version or "",
            region=settings.region or "",
            project=settings.project or "",
            sends_trace=settings.trace_context,
        )

    def _serves(
        self, record: Provider, settings: ProviderSettings, catalog: str, location: Location
    ) -> tuple[str, ...]:
        """Return the patterns of bare names. If users name all models of a provider, these have no others."""
        also, only = settings.serves.also, settings.serves.only
        if also and only:
            self.findings.error((*location, "serves"), "set either `also` or `only`")
        known = sum(1 for _ in self.models.catalog.models(catalog))
        if also and not only and known and "*" not in also and not record.has_deployments:
            message = f"adds to the {known} models that the catalog has for {catalog}; `{{only: [...]}}` replaces them"
            self.findings.note((*location, "serves"), message)
        for name in () if record.has_deployments else (*also, *only):
            self._check_spelling(name, settings, catalog, location)
        if only:
            return tuple(only)
        return tuple(dict.fromkeys((*also, *(_deployed(settings) if record.has_deployments else ()))))

    def _check_spelling(self, name: str, settings: ProviderSettings, catalog: str, location: Location) -> None:
        """Report a name in `serves` that is sent as it is, though the provider has this model under another name."""
        known = self.models.catalog
        if name in settings.deployments or known.find(catalog, name) is not None:
            return
        own = next((model for place, model in known.serving(name) if place == catalog), "")
        if own:
            report = self.findings.warning if settings.base_url is None else self.findings.note
            report(
                (*location, "serves"), f"{name!r} is sent as it is, but {catalog} calls this model {own!r}; write that"
            )

    def _own_names(self, settings: ProviderSettings, catalog: str, own_list: list[str]) -> frozenset[str]:
        """Return the configuration's own names of deployments. No server has a model of such a name."""
        every = frozenset(_deployed(settings)).difference(own_list)
        return frozenset([name for name in every if self.models.catalog.find(catalog, name) is None])

    def _check_version(self, record: Provider, settings: ProviderSettings, base_path: str, location: Location) -> None:
        """Report an address that does not fit the version of the API, or a version at a type without one."""
        if settings.api_version and not record.has_deployments:
            message = f"the type {record.name} has no api_version; remove it, or set `type: azure`"
            self.findings.error((*location, "api_version"), message)
        elif record.has_deployments and not settings.api_version and not base_path.endswith("/v1"):
            message = "the address should end with /openai/v1; for one that ends with /openai, set `api_version`"
            self.findings.warning((*location, "base_url"), message)

    def _check_deployments(self, settings: ProviderSettings, catalog: str, location: Location) -> None:
        """Note the deployments whose models the catalog does not know, so that they have no price."""
        places: dict[Location, Deployments] = {(*location, "deployments"): settings.deployments}
        for name, key in settings.keys.items():
            places[*location, "keys", name, "deployments"] = key.deployments
        for place, deployments in places.items():
            for model in deployments:
                if catalog and self.models.catalog.find(catalog, model) is None:
                    guess = nearest(model, self.models.catalog.models(catalog))
                    self.findings.note((*place, model), f"the catalog has no such model of {catalog}{guess}")

    def _check_families(self, record: Provider, settings: ProviderSettings, location: Location) -> None:
        """Reject keys whose deployments of one model have different APIs: a request is translated before its key is
        known."""
        found: dict[str, str] = {}
        families = families_of(record)
        for name, key in settings.keys.items() if families else ():
            for model, deployment in (key.deployments or settings.deployments).items():
                family = family_of(families, (model, deployment))
                api = family.name if family is not None else record.name
                if found.setdefault(model, api) != api:
                    message = f"leads to an API other than that of another key; configure a provider for each {model}"
                    self.findings.error((*location, "keys", name, "deployments", model), message)

    def _catalog(self, record: Provider, settings: ProviderSettings, host: str, location: Location) -> str:
        """Return the catalog's provider of the models: the configured one, else the one at the address, else the
        type's, else one with the provider's own name, which an overlay has added."""
        known = list(self.models.catalog.providers())
        if settings.catalog is not None:
            if settings.catalog and settings.catalog not in known:
                guess = nearest(settings.catalog, known) or f"; it has {listed(known, limit=80)}"
                # No error: an update of the catalog must not make a configuration unusable.
                self.findings.warning(
                    (*location, "catalog"), f"the catalog has no provider {settings.catalog!r}{guess}"
                )
            return settings.catalog
        found = self.models.catalog.provider_at(host)
        return found or next((one for one in (record.name, location[-1]) if one in known), "")

    def _record(self, name: str, settings: ProviderSettings, location: Location) -> Provider | None:
        record = PROVIDERS.get(settings.type or name)
        if record is not None:
            return record
        types = f"set it to one of: {listed(PROVIDERS, limit=80)}"
        if settings.type is not None:
            guess = nearest(settings.type, PROVIDERS)
            self.findings.error((*location, "type"), f"unknown type{guess or '; ' + types}")
        else:
            guess = nearest(name, PROVIDERS)
            message = f"`type` is required, because the name is not that of a known provider; {types}{guess}"
            self.findings.error(location, message)
        return None
