"""Compiles `providers` into endpoints, each with a dialect, an address, keys and a network."""

from time import time
from typing import Literal

from msgspec import Struct

from pointsman.catalog.tool_prices import TOOL_MODELS, TOOL_PRICES
from pointsman.config.addresses import ListenAddress, is_loopback, parse_base_url
from pointsman.config.catalog import CatalogInUse, by_name
from pointsman.config.limits import LimitCompiler
from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.process import compile_network
from pointsman.config.references import BadReference, References
from pointsman.config.requirements import compile_tags
from pointsman.config.schema import Document, KeySettings, ProviderSettings
from pointsman.config.source import Location
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.targets import Endpoint, ProviderKey
from pointsman.providers import PROVIDERS, dialects_of, operations_of
from pointsman.providers.api import Provider


def compile_endpoints(
    document: Document,
    models: CatalogInUse,
    references: References,
    findings: Findings,
    listen: ListenAddress | None,
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
    for endpoint in compiled.values():
        if endpoint is not None and listen is not None:
            _reject_own_address(endpoint, listen, findings)
    return {name: endpoint for name, endpoint in compiled.items() if endpoint is not None}


def _reject_own_address(endpoint: Endpoint, listen: ListenAddress, findings: Findings) -> None:
    """Reject a provider at the gateway's own address: it would call itself until every connection is taken."""
    origin = endpoint.origin
    if origin.port == listen.port and is_loopback(origin.host) and (not listen.host or listen.is_loopback):
        message = f"the provider's address, {origin}, is the gateway's own; change server.listen or base_url"
        findings.error(("providers", endpoint.name), message)


def _max_concurrency(record: Provider, settings: ProviderSettings) -> int | Literal["auto"] | None:
    """Return the configured bound of attempts in progress, else that of the type."""
    setting = settings.max_concurrency
    if setting is None:
        return "auto" if record.is_self_hosted else None
    return None if setting == "none" else setting


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
        address = self._address(record, settings, location)
        keys = self._keys(record, settings, location)
        network = self.network
        if settings.egress is not None:
            place = (*location, "egress")
            network = compile_network(network, settings.egress, place, self.references, self.findings)
        if address is None or keys is None:
            return None
        origin, base_path = address
        catalog = self._catalog(record, settings, origin.host, location)
        if record.has_deployments:
            self._check_deployments(settings, base_path, catalog, location)
        else:
            self._reject_deployments(record, settings, location)
        own_list = self.models.lists.providers.get(name)
        return Endpoint(
            name=name,
            type=record.name,
            origin=origin,
            base_path=base_path,
            keys=keys,
            operations=operations_of(record),
            dialects=dialects_of(record),
            needs_bound=record.needs_bound,
            keeps_responses=record.keeps_responses,
            serves=tuple(settings.serves or settings.deployments),
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
        )

    def _reject_deployments(self, record: Provider, settings: ProviderSettings, location: Location) -> None:
        for field in ("deployments", "api_version"):
            if getattr(settings, field):
                message = f"the type {record.name} has no {field}; remove it, or set `type: azure`"
                self.findings.error((*location, field), message)

    def _check_deployments(self, settings: ProviderSettings, base_path: str, catalog: str, location: Location) -> None:
        """Report an address that does not fit the version of the API, and names that are not the catalog's."""
        if not settings.api_version and not base_path.endswith("/v1"):
            message = "the address should end with /openai/v1; for one that ends with /openai, set `api_version`"
            self.findings.warning((*location, "base_url"), message)
        for model in settings.deployments:
            if catalog and self.models.catalog.find(catalog, model) is None:
                guess = nearest(model, self.models.catalog.models(catalog))
                self.findings.note(
                    (*location, "deployments", model), f"the catalog has no such model of {catalog}{guess}"
                )

    def _catalog(self, record: Provider, settings: ProviderSettings, host: str, location: Location) -> str:
        """Return the catalog's provider of the models: the configured one, else the one at the address, else the
        type's."""
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
        return found or (record.name if record.name in known else "")

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

    def _address(self, record: Provider, settings: ProviderSettings, location: Location) -> tuple[Origin, str] | None:
        text = settings.base_url or record.base_url
        place = (*location, "base_url") if settings.base_url else location
        if text is None:
            self.findings.error(
                location, f"`base_url` is required, because the type {record.name} has no default address"
            )
            return None
        try:
            origin, base_path = parse_base_url(text)
        except ValueError as error:
            self.findings.error(place, str(error))
            return None
        if origin.scheme == "http" and not is_loopback(origin.host):
            self.findings.warning(place, "http:// sends prompts and the key unencrypted; use https://")
        return origin, base_path

    def _keys(self, record: Provider, settings: ProviderSettings, location: Location) -> tuple[ProviderKey, ...] | None:
        if not settings.keys:
            if record.needs_key and settings.base_url is None:
                example = record.key_env or "NAME"
                message = f"{record.title} requires a key; set `keys: {{default: {{value: env.{example}}}}}`"
                self.findings.error(location, message)
                return None
            return (ProviderKey("default", Secret("")),)
        keys: list[ProviderKey] = []
        for name, key_settings in settings.keys.items():
            place = (*location, "keys", name)
            key = self._key(name, key_settings, place)
            if key is None:
                continue
            if not key.credential.reveal() and record.needs_key and settings.base_url is None:
                self.findings.warning((*place, "value"), f"is empty, but {record.title} rejects requests without a key")
            same = (other.name for other in keys if other.credential == key.credential and key.credential.reveal())
            twin = next(same, None)
            if twin is not None:
                self.findings.warning(
                    (*place, "value"), f"is the same secret as that of the key {twin!r}; remove one of the two keys"
                )
            keys.append(key)
        if len(keys) < len(settings.keys):
            return None
        if not any(key.weight > 0 for key in keys):
            self.findings.warning(
                (*location, "keys"), "every key has weight 0, so no request can use this provider; set a weight above 0"
            )
        return tuple(keys)

    def _key(self, name: str, settings: KeySettings, location: Location) -> ProviderKey | None:
        secret = Secret("")
        if settings.value:
            try:
                secret = self.references.resolve(settings.value)
            except BadReference as error:
                self.findings.error((*location, "value"), str(error))
                return None
        if settings.weight == 0:
            self.findings.note((*location, "weight"), "weight 0: the key is not used")
        tags = compile_tags(settings.tags, (*location, "tags"), self.findings, self.now_unix_s)
        return ProviderKey(
            name, secret, settings.weight, tuple(settings.serves), tags=tags, cache_domain=settings.cache_domain or ""
        )
