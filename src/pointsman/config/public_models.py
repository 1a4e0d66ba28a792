"""Compiles `models` into public models. The routing code resolves every name to the providers that serve it, once."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.routing_schema import ModelSettings, RoutingSettings
from pointsman.config.schema import Document
from pointsman.config.source import Location
from pointsman.config.strategies import compile_strategy
from pointsman.domain.snapshots import Failover, HealthLimits, Names, PublicModel, Routing, Timeouts
from pointsman.domain.targets import Candidate, Endpoint
from pointsman.routing.names import find, siblings


def compile_routing(settings: RoutingSettings, findings: Findings) -> Routing:
    """Return the defaults of every public name."""
    return Routing(
        strategy=compile_strategy(settings.strategy, ("routing", "strategy"), findings) or Routing().strategy,
        max_attempts=settings.max_attempts,
        timeouts=Timeouts(**settings.timeouts.model_dump()),
        commit_buffer=settings.commit_buffer,
        failover=Failover(frozenset(settings.failover.fallback_on), settings.failover.first_token_s),
        health=HealthLimits(**settings.health.model_dump()),
        event_bytes=settings.event_bytes,
        state_days=settings.state_days,
        unowned_state=settings.unowned_state,
    )


def compile_models(document: Document, names: Names, routing: Routing, findings: Findings) -> dict[str, PublicModel]:
    """Compile the public names. `routing` has the defaults, `names` the endpoints and the catalog."""
    models = _ModelCompiler(document, names, routing, findings).compile_all()
    _note_idle_keys(models, names.endpoints, findings)
    return models


class _ModelCompiler:
    """Compiles public names against the valid endpoints, which may be fewer than the configured ones. `names` has these
    and the catalog."""

    def __init__(self, document: Document, names: Names, routing: Routing, findings: Findings) -> None:
        self._document = document
        self._endpoints = names.endpoints
        self._names = names
        self._routing = routing
        self._findings = findings
        self._bare = replace(names, siblings=False)

    def compile_all(self) -> dict[str, PublicModel]:
        self._note_siblings()
        return {name: self._compile(name, settings) for name, settings in self._document.models.items()}

    def _compile(self, name: str, settings: ModelSettings) -> PublicModel:
        location: Location = ("models", name)
        prefix, slash, _ = name.partition("/")
        if slash and prefix in self._document.providers:
            message = f"hides a model of the provider {prefix!r}; choose a name that does not begin with `{prefix}/`"
            self._findings.error(location, message)
        targets = self._targets(settings, location)
        fallbacks = self._fallbacks(settings, location, {item.id for item in targets})
        self._note_hidden(name, {item.endpoint.name for item in (*targets, *fallbacks)}, location)
        others = (*fallbacks, *(siblings(targets, fallbacks, self._names) if settings.siblings else ()))
        routing = self._routing_of(settings, location)
        strategy = compile_strategy(settings.strategy, (*location, "strategy"), self._findings)
        return PublicModel(name=name, targets=tuple(targets), fallbacks=others, strategy=strategy, routing=routing)

    def _routing_of(self, settings: ModelSettings, location: Location) -> Routing | None:
        """Merge the settings of a name into those of `routing`. Return `None` if it has none."""
        base = self._routing
        timeouts = replace(base.timeouts, **settings.timeouts.model_dump(exclude_none=True))
        own = settings.failover.model_dump(exclude_none=True)
        if "fallback_on" in own:
            own["fallback_on"] = frozenset(own["fallback_on"])
            if not settings.fallbacks:
                message = "applies only to the `fallbacks` of a request, because this public name has none"
                self._findings.note((*location, "failover", "fallback_on"), message)
        failover = replace(base.failover, **own)
        routing = replace(base, timeouts=timeouts, failover=failover, response_model=settings.response_model)
        return routing if routing != base else None

    def _note_siblings(self) -> None:
        """Warn of a `routing.siblings` that no longer applies to public names."""
        routing = self._document.routing
        if "siblings" not in routing.model_fields_set or not routing.siblings:
            return
        message = "applies only to bare names, which have siblings by default; set `siblings: true` in a public name"
        self._findings.warning(("routing", "siblings"), message)

    def _targets(self, settings: ModelSettings, location: Location) -> list[Candidate]:
        strategy = (settings.strategy or self._document.routing.strategy).name
        targets: list[Candidate] = []
        for index, target in enumerate(settings.targets):
            place = (*location, "targets", index)
            if target.weight == 0:
                self._findings.note((*place, "weight"), "weight 0: the target is drained")
            elif strategy == "priority" and "weight" in target.model_fields_set:
                message = "has no effect with the strategy `priority`; set `strategy: weighted`"
                self._findings.warning((*place, "weight"), message)
            found = self._resolve(target.model, (*place, "model"))
            for item in found:
                if any(item.id == other.id for other in targets):
                    self._findings.warning((*place, "model"), f"duplicate target {item.id}; remove one of the two")
                # The providers of a bare name split its configured weight.
                weight, times = target.weight / len(found), target.timeouts
                targets.append(
                    replace(
                        item,
                        weight=weight,
                        variant=target.variant,
                        response_s=times.response_s,
                        stream_head_s=times.stream_head_s,
                    )
                )
        if all(target.weight == 0 for target in settings.targets):
            self._findings.error(
                (*location, "targets"), "every target has weight 0, so no request can be served; set a weight above 0"
            )
        return targets

    def _fallbacks(self, settings: ModelSettings, location: Location, taken: set[str]) -> list[Candidate]:
        fallbacks: list[Candidate] = []
        for index, name in enumerate(settings.fallbacks):
            place = (*location, "fallbacks", index)
            for item in self._resolve(name, place):
                if item.id in taken:
                    self._findings.warning(
                        place, f"{item.id} is already tried before this fallback; remove the fallback"
                    )
                else:
                    taken.add(item.id)
                    fallbacks.append(replace(item, provenance="fallback"))
        return fallbacks

    def _resolve(self, name: str, location: Location) -> Sequence[Candidate]:
        providers = self._document.providers
        if name in self._document.models:
            message = (
                f"{name!r} is a public name; targets and fallbacks must be provider/model, so that they cannot loop"
            )
            self._findings.error(location, message)
            return ()
        found = find(self._bare, name)
        if found is not None:
            for item in found.targets:
                if not any(key.weight > 0 for key in item.keys):
                    message = f"{item.id} is never used: no key of {item.endpoint.name} with a weight above 0 serves it"
                    self._findings.warning(location, message)
                self._check_known(item, location)
            return found.targets
        prefix, slash, rest = name.partition("/")
        if slash and prefix in providers:
            if not rest:
                self._findings.error(location, "add a model after the slash")
            return ()  # its provider has an error of its own
        if slash:
            known = nearest(prefix, providers) or f"; the providers are {listed(providers)}"
            self._findings.error(location, f"unknown provider {prefix!r}{known}")
        elif len(self._endpoints) == len(providers):
            message = f"no configured provider serves {name!r}; write provider/model with one of {listed(providers)}"
            self._findings.error(location, f"{message}{nearest(name, [*providers, *self._served()])}")
        return ()

    def _served(self) -> list[str]:
        """Return canonical names of the configured providers' models in the catalog."""
        catalog = self._names.catalog
        found: dict[str, None] = {}
        for endpoint in self._endpoints.values():
            for model in catalog.models(endpoint.catalog):
                facts = catalog.find(endpoint.catalog, model)
                if facts is not None:
                    found[facts.name] = None
        return list(found)

    def _check_known(self, item: Candidate, location: Location) -> None:
        """Report a model that the catalog does not have at a provider it knows well: it is most likely misspelt."""
        endpoint, catalog = item.endpoint, self._names.catalog
        settings = self._document.providers.get(endpoint.name)
        if settings is None or settings.base_url is not None or settings.serves or not endpoint.catalog:
            return
        facts = catalog.find(endpoint.catalog, item.model)
        if facts is not None:
            if facts.deprecated_on is not None:
                message = f"{endpoint.catalog} retires {item.model} on {facts.deprecated_on}, according to the catalog"
                self._findings.note(location, message)
            return
        known = list(catalog.models(endpoint.catalog))
        if known and not any(item.model in names for names in endpoint.listed.values()):
            guess = nearest(item.model, known)
            message = f"the catalog has no model {item.model!r} of {endpoint.catalog}{guess}"
            (self._findings.warning if guess else self._findings.note)(location, message)

    def _note_hidden(self, name: str, used: set[str], location: Location) -> None:
        """Warn if a public name hides a bare name that a provider serves."""
        hidden = [
            endpoint.name
            for endpoint in self._endpoints.values()
            if endpoint.name not in used and any(fnmatchcase(name, pattern) for pattern in endpoint.serves)
        ]
        if hidden:
            message = f"hides the model with this name at {listed(hidden)}; only provider/model reaches that model"
            self._findings.warning(location, message)


def _note_idle_keys(models: Mapping[str, PublicModel], endpoints: Mapping[str, Endpoint], findings: Findings) -> None:
    """Note keys whose patterns match none of the configured models of their provider."""
    named: dict[str, set[str]] = {}
    for model in models.values():
        for item in (*model.targets, *model.fallbacks):
            named.setdefault(item.endpoint.name, set()).add(item.model)
    for endpoint in endpoints.values():
        exact = {pattern for pattern in endpoint.serves if not set(pattern) & set("*?[")}
        names = named.get(endpoint.name, set()) | exact
        for key in endpoint.keys:
            if key.serves and names and not any(key.serves_model(name) for name in names):
                message = "matches no model that this file configures for the provider"
                findings.note(("providers", endpoint.name, "keys", key.name, "serves"), message)
