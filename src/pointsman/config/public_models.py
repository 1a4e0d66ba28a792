"""Compiles `models` into public models. The routing code resolves every name to the providers that serve it, once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from time import time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.canaries import compile_guards
from pointsman.config.duplicates import compile_hedging, compile_racing, has_useless_races
from pointsman.config.failover_checks import check_failover
from pointsman.config.limits import LimitCompiler
from pointsman.config.mirrors import MirrorSettings, check_mirror
from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.requirements import compile_require, compile_tags
from pointsman.config.routing_schema import FailoverSettings, ModelSettings, RoutingSettings, RuleSettings
from pointsman.config.schema import Document
from pointsman.config.source import Location
from pointsman.config.strategies import compile_strategy
from pointsman.domain.requirements import Requirements
from pointsman.domain.snapshots import Failover, HealthLimits, Mirror, Names, PublicModel, Routing, Timeouts
from pointsman.domain.targets import Arm, Candidate, Endpoint, Strategy
from pointsman.routing.names import find, siblings

_SOON_DAYS = 30  # a retirement within these is worth a warning
_FETCHED: dict[bool | str, str] = {False: "no", True: "https", "http": "http"}


def compile_routing(settings: RoutingSettings, findings: Findings) -> Routing:
    """Return the defaults of every public name."""
    routing = Routing(
        strategy=compile_strategy(settings.strategy, ("routing", "strategy"), findings) or Routing().strategy,
        max_attempts=settings.max_attempts,
        timeouts=Timeouts(**settings.timeouts.model_dump()),
        commit_buffer=settings.commit_buffer,
        failover=_failover(settings.failover),
        hedging=compile_hedging(settings.duplicates),
        racing=compile_racing(settings.duplicates),
        health=HealthLimits(**settings.health.model_dump()),
        event_bytes=settings.event_bytes,
        state_days=settings.state_days,
        unowned_state=settings.unowned_state,
        fetch_media=_FETCHED[settings.fetch_media],
    )
    check_failover(routing, ("routing",), findings)
    return routing


def _failover(settings: FailoverSettings) -> Failover:
    return Failover(**{**settings.model_dump(), "fallback_on": frozenset(settings.fallback_on)})


def compile_models(compiler: "ModelCompiler", findings: Findings) -> dict[str, PublicModel]:
    """Compile the public names."""
    models = compiler.compile_all()
    _note_idle_keys(models, compiler.endpoints, findings)
    return models


def headers_read(strategies: Iterable[Strategy | None]) -> set[str]:
    """Return the request headers that the settings of some strategies read, in lower case."""
    settings = [strategy.settings for strategy in strategies if strategy is not None]
    return {name for one in settings for name in getattr(one, "read_headers", ())}


class _ForCauses(Struct):
    """A fallback for certain causes."""

    item: Candidate
    causes: frozenset[str]

    def as_fallback(self) -> Candidate:
        return replace(self.item, provenance="fallback", after=self.causes)


class ModelCompiler:
    """Compiles public names and the targets of rules against the valid endpoints, which may be fewer than the
    configured ones. `names` has these and the catalog, `routing` the defaults."""

    def __init__(self, document: Document, names: Names, routing: Routing, findings: Findings) -> None:
        self._document = document
        self.endpoints = names.endpoints
        self.names = names
        self._routing = routing
        self._findings = findings
        self._bare = replace(names, siblings=False)
        self._limits = LimitCompiler(findings)
        self._now_unix_s = time()

    def compile_all(self) -> dict[str, PublicModel]:
        self._note_siblings()
        self._note_useless_races()
        return {name: self._compile(name, settings) for name, settings in self._document.models.items()}

    def _compile(self, name: str, settings: ModelSettings) -> PublicModel:
        location: Location = ("models", name)
        prefix, slash, _ = name.partition("/")
        if slash and prefix in self._document.providers:
            message = f"hides a model of the provider {prefix!r}; choose a name that does not begin with `{prefix}/`"
            self._findings.error(location, message)
        targets = self.targets(settings, location)
        routing = self._routing_of(settings, location)
        general = self.fallbacks(settings.fallbacks, location, {item.id for item in targets})
        fallback_on = (routing or self._routing).failover.fallback_on
        after = self._causes(settings, location, {item.id: fallback_on for item in general})
        targets = [replace(item, after=after.pop(item.id).causes) if item.id in after else item for item in targets]
        ids = {item.id for item in general}
        fallbacks = [one.as_fallback() for name, one in after.items() if name not in ids]
        fallbacks += [after[item.id].as_fallback() if item.id in after else item for item in general]
        self._note_hidden(name, {item.endpoint.name for item in (*targets, *fallbacks)}, location)
        others = (*fallbacks, *(siblings(targets, fallbacks, self.names) if settings.siblings else ()))
        strategy = compile_strategy(settings.strategy, (*location, "strategy"), self._findings)
        self._note_default(settings, sum(item.weight > 0 for item in targets), location)
        require = compile_require(settings.require, f"model {name}")
        return PublicModel(
            name=name,
            targets=_requiring(targets, require),
            fallbacks=_requiring(others, require),
            strategy=strategy,
            routing=routing,
            require=require,
            mirror=self._mirror(name, settings.mirror, location),
        )

    def _mirror(self, name: str, settings: MirrorSettings | None, location: Location) -> Mirror | None:
        if settings is None:
            return None
        place: Location = (*location, "mirror")
        if settings.to not in self._document.models and find(self.names, settings.to) is None:
            guess = nearest(settings.to, self._document.models)
            self._findings.error((*place, "to"), f"no configured provider serves {settings.to!r}{guess}")
        check_mirror(name, settings, place, self._findings)
        return Mirror(name, settings.to, settings.share, self._limits.compile("mirror", name, settings, place))

    def _routing_of(self, settings: ModelSettings, location: Location) -> Routing | None:
        """Merge the settings of a name into those of `routing`. Return `None` if it has none."""
        base = self._routing
        timeouts = replace(base.timeouts, **settings.timeouts.model_dump(exclude_none=True))
        own = settings.failover.model_dump(exclude_none=True)
        if "fallback_on" in own:
            own["fallback_on"] = frozenset(own["fallback_on"])
            if not settings.fallbacks and not settings.fallbacks_for:
                message = "applies only to the `fallbacks` of a request, because this public name has none"
                self._findings.note((*location, "failover", "fallback_on"), message)
        failover = replace(base.failover, **own)
        routing = replace(base, timeouts=timeouts, failover=failover, response_model=settings.response_model)
        hedging, duplicates = base.hedging, settings.duplicates
        if duplicates is not None:
            hedging = compile_hedging(duplicates)
            routing = replace(routing, hedging=hedging, racing=compile_racing(duplicates))
        if routing == base:
            return None
        check_failover(routing, location, self._findings, base)
        if settings.duplicates is not None and hedging is not None and len(settings.targets) < 2:
            message = "has no effect, since a rival needs a second target; fallbacks serve only after a failure"
            self._findings.note((*location, "duplicates"), message)
        strategy = settings.strategy.name if settings.strategy is not None else base.strategy.name
        if duplicates is not None and has_useless_races(duplicates, strategy):
            message = f"has no races, since the strategy {strategy} makes no probes; use adaptive"
            self._findings.note((*location, "duplicates"), message)
        return routing

    def _note_default(self, settings: ModelSettings, targets: int, location: Location) -> None:
        """Tell the owner of a name without a strategy that the default one does not keep the order of its targets."""
        if settings.strategy is not None or targets < 2 or "strategy" in self._document.routing.model_fields_set:
            return
        if any("weight" in target.model_fields_set for target in settings.targets):
            message = (
                "uses the default strategy `adaptive`, in which weights count only until answers have shown more; "
                "set `strategy: weighted` to keep fixed shares"
            )
        else:
            message = (
                "uses the default strategy `adaptive`, which prefers the target that answers soonest; "
                "set `strategy: priority` to keep the order of the list"
            )
        self._findings.note(location, message)

    def _note_useless_races(self) -> None:
        """Note races in `routing` if neither its strategy nor that of a public name, rule or key makes probes."""
        document, routing = self._document, self._document.routing
        strategies = [routing.strategy, *[one.strategy for one in document.models.values()]]
        strategies += [one.strategy for one in routing.rules]
        strategies += [one.strategy for one in document.governance.virtual_keys.values()]
        if all(one is None or has_useless_races(routing.duplicates, one.name) for one in strategies):
            message = f"has no races, since the strategy {routing.strategy.name} makes no probes; use adaptive"
            self._findings.note(("routing", "duplicates"), message)

    def _note_siblings(self) -> None:
        """Warn of a `routing.siblings` that no longer applies to public names."""
        routing = self._document.routing
        if "siblings" not in routing.model_fields_set or not routing.siblings:
            return
        message = "applies only to bare names, which have siblings by default; set `siblings: true` in a public name"
        self._findings.warning(("routing", "siblings"), message)

    def targets(self, settings: ModelSettings | RuleSettings, location: Location) -> list[Candidate]:
        strategy = (settings.strategy or self._document.routing.strategy).name
        if isinstance(settings, RuleSettings) and settings.strategy is None:
            strategy = "weighted"  # the strategy of a rule whose targets have weights
        targets: list[Candidate] = []
        guards = compile_guards(settings, location, self._findings)
        name = f"rule {settings.name}" if isinstance(settings, RuleSettings) else str(location[-1])
        for index, target in enumerate(settings.targets):
            place = (*location, "targets", index)
            if target.weight == 0:
                self._findings.note((*place, "weight"), "weight 0: the target is drained")
            elif strategy == "priority" and "weight" in target.model_fields_set:
                message = "has no effect with the strategy `priority`; set `strategy: weighted`"
                self._findings.warning((*place, "weight"), message)
            found = self._resolve(target.model, (*place, "model"))
            tags = compile_tags(target.tags, (*place, "tags"), self._findings, self._now_unix_s)
            for item in found:
                if any(item.id == other.id for other in targets):
                    self._findings.warning((*place, "model"), f"duplicate target {item.id}; remove one of the two")
                # The providers of a bare name split its configured weight.
                weight, times = target.weight / len(found), target.timeouts
                arm = Arm(name, item.id, target.variant or "", weight, guards[index]) if guards else None
                targets.append(
                    replace(
                        item,
                        arm=arm,
                        weight=weight,
                        variant=target.variant,
                        response_s=times.response_s,
                        stream_head_s=times.stream_head_s,
                        tags=tags,
                    )
                )
        if all(target.weight == 0 for target in settings.targets):
            self._findings.error(
                (*location, "targets"), "every target has weight 0, so no request can be served; set a weight above 0"
            )
        return targets

    def fallbacks(self, names: Sequence[str], location: Location, tried: set[str]) -> list[Candidate]:
        fallbacks: list[Candidate] = []
        for index, name in enumerate(names):
            place = (*location, "fallbacks", index)
            for item in self._resolve(name, place):
                if item.id in tried:
                    self._findings.warning(
                        place, f"{item.id} is already tried before this fallback; remove the fallback"
                    )
                else:
                    tried.add(item.id)
                    fallbacks.append(replace(item, provenance="fallback"))
        return fallbacks

    def _causes(
        self, settings: ModelSettings, location: Location, general: Mapping[str, frozenset[str]]
    ) -> dict[str, "_ForCauses"]:
        """Return the candidates of `fallbacks_for` with their causes, by id. Those in `general` have these causes,
        too."""
        found: dict[str, _ForCauses] = {}
        for cause, names in settings.fallbacks_for.items():
            for index, name in enumerate(names):
                for item in self._resolve(name, (*location, "fallbacks_for", cause, index)):
                    one = found.setdefault(item.id, _ForCauses(item, general.get(item.id, frozenset())))
                    one.causes |= {cause}
        return found

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
        elif len(self.endpoints) == len(providers):
            message = f"no configured provider serves {name!r}; write provider/model with one of {listed(providers)}"
            self._findings.error(location, f"{message}{nearest(name, [*providers, *self._served()])}")
        return ()

    def _served(self) -> list[str]:
        """Return canonical names of the configured providers' models in the catalog."""
        catalog = self.names.catalog
        found: dict[str, None] = {}
        for endpoint in self.endpoints.values():
            for model in catalog.models(endpoint.catalog):
                facts = catalog.find(endpoint.catalog, model)
                if facts is not None:
                    found[facts.name] = None
        return list(found)

    def _check_known(self, item: Candidate, location: Location) -> None:
        """Report a model that the catalog does not have at a provider it knows well: it is most likely misspelt."""
        endpoint, catalog = item.endpoint, self.names.catalog
        settings = self._document.providers.get(endpoint.name)
        facts = catalog.find(endpoint.catalog, item.model)
        if facts is not None:
            self._note_retirement(item, facts.deprecated_on, location)
            return
        if settings is None or settings.base_url is not None or endpoint.serves or not endpoint.catalog:
            return
        known = list(catalog.models(endpoint.catalog))
        if known and not any(item.model in names for names in endpoint.listed.values()):
            guess = nearest(item.model, known)
            message = f"the catalog has no model {item.model!r} of {endpoint.catalog}{guess}"
            (self._findings.warning if guess else self._findings.note)(location, message)

    def _note_retirement(self, item: Candidate, day: str | None, location: Location) -> None:
        """Warn of a model that retires within a month, or has retired. A later retirement is only noted."""
        if day is None:
            return
        left = (date.fromisoformat(day) - datetime.fromtimestamp(self._now_unix_s, UTC).date()).days
        when = f"in {left} days, on {day}" if left > 1 else f"on {day}"
        verb = "has retired" if left <= 0 else "retires"
        message = f"{item.endpoint.catalog} {verb} {item.model} {when}, according to the catalog"
        if left > _SOON_DAYS:
            self._findings.note(location, message)
        else:
            self._findings.warning(location, f"{message}; choose a newer model, or add a fallback")

    def _note_hidden(self, name: str, used: set[str], location: Location) -> None:
        """Warn if a public name hides a bare name that a provider serves."""
        hidden = [
            endpoint.name
            for endpoint in self.endpoints.values()
            if endpoint.name not in used and any(fnmatchcase(name, pattern) for pattern in endpoint.serves)
        ]
        if hidden:
            message = f"hides the model with this name at {listed(hidden)}; only provider/model reaches that model"
            self._findings.warning(location, message)


def _requiring(items: Iterable[Candidate], require: Requirements) -> tuple[Candidate, ...]:
    return tuple([replace(item, require=require) for item in items]) if require else tuple(items)


def _note_idle_keys(models: Mapping[str, PublicModel], endpoints: Mapping[str, Endpoint], findings: Findings) -> None:
    """Note keys whose patterns match none of the configured models of their provider."""
    named: dict[str, set[str]] = {}
    for model in models.values():
        for item in (*model.targets, *model.fallbacks):
            named.setdefault(item.endpoint.name, set()).add(item.model)
    for endpoint in endpoints.values():
        exact = {pattern for pattern in endpoint.serves if not set(pattern) & set("*?[")}
        names = named.get(endpoint.name, set()) | exact | endpoint.deployments.keys()
        for key in endpoint.keys:
            names |= key.deployments.keys()
        for key in endpoint.keys:
            if key.serves and names and not any(key.serves_model(name) for name in names):
                message = "matches no model that this file configures for the provider"
                findings.note(("providers", endpoint.name, "keys", key.name, "serves"), message)
