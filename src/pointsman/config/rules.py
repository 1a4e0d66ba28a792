"""Compiles `routing.rules`: checks conditions, names and targets, and finds rules that no request can reach."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Raw, Struct

from pointsman.config.conditions import ConditionChecker
from pointsman.config.governance import Governed
from pointsman.config.problems import Findings, nearest
from pointsman.config.public_models import ModelCompiler
from pointsman.config.requirements import compile_require
from pointsman.config.routing_schema import RuleSettings, named_parts
from pointsman.config.schema import Document
from pointsman.config.source import Location
from pointsman.config.strategies import compile_strategy
from pointsman.domain.identity import VirtualKey, key_named
from pointsman.domain.rules import Rule, RuleLevel
from pointsman.domain.snapshots import PublicModel
from pointsman.domain.targets import Candidate, Endpoint, Strategy
from pointsman.routing.names import find
from pointsman.wire.params import BOUNDS, FIXED


class RuleNames(Struct, frozen=True):
    """The names that rules may use: the owners of each level, and the headers that carry virtual keys."""

    owners: Mapping[RuleLevel, Sequence[str]]
    key_headers: tuple[str, ...]


def rule_names(document: Document, keys: Mapping[bytes, VirtualKey], key_headers: tuple[str, ...]) -> RuleNames:
    """Return the names that the rules of a document may use. `keys` may have keys that the document does not list."""
    governance = document.governance
    scopes = [rule.scope.removeprefix("virtual_key:") for rule in document.routing.rules]
    others = [name for name in scopes if name not in governance.virtual_keys and key_named(keys, name) is not None]
    owners: dict[RuleLevel, Sequence[str]] = {
        "virtual_key": [*governance.virtual_keys, *others],
        "team": list(governance.teams),
        "customer": list(governance.customers),
    }
    return RuleNames(owners, key_headers)


class CompiledRules(Struct, frozen=True):
    """The compiled rules, the facts to log, and the headers that both read, in lower case."""

    rules: tuple[Rule, ...] = ()
    headers: tuple[str, ...] = ()
    logged_facts: tuple[str, ...] = ()


def compile_rules(
    document: Document,
    governed: Governed,
    models: ModelCompiler,
    public: Mapping[str, PublicModel],
    findings: Findings,
) -> CompiledRules:
    """Compile the enabled rules, and `logging.facts`. The errors of other rules are among the findings, too. `public`
    are the public names."""
    names = rule_names(document, governed.keys, governed.key_headers)
    compiler = _RuleCompiler(names, models, public, findings)
    return compiler.compile_all(document.routing.rules, document.logging.facts)


class _RuleCompiler:
    def __init__(
        self, names: RuleNames, models: ModelCompiler, public: Mapping[str, PublicModel], findings: Findings
    ) -> None:
        self._names = names
        self._models = models
        self._public = public
        self._findings = findings
        self._conditions = ConditionChecker(findings, names.key_headers, models.endpoints)
        self._seen: set[str] = set()
        self._final: dict[str, str] = {}  # the rule of each scope that matches every request
        self._taken: dict[tuple[str, str], RuleSettings] = {}  # the first rule of each scope that ends at a condition

    def compile_all(self, rules: Sequence[RuleSettings], logged: Sequence[str]) -> CompiledRules:
        compiled: list[Rule] = []
        for index, settings in enumerate(rules):
            place: Location = ("routing", "rules", index)
            rule = self._compile(settings, place)
            if settings.enabled:
                compiled.append(rule)
                self._check_reachable(settings, place)
        facts = [self._conditions.fact(text, ("logging", "facts", index)) for index, text in enumerate(logged)]
        return CompiledRules(
            tuple(compiled), tuple(self._conditions.headers), tuple(dict.fromkeys(filter(None, facts)))
        )

    def _compile(self, settings: RuleSettings, place: Location) -> Rule:
        if settings.name in self._seen:
            self._findings.error((*place, "name"), f"duplicate rule {settings.name!r}; choose another name")
        self._seen.add(settings.name)
        self._check_parts(settings, place)
        level, owner = self._scope(settings.scope, place)
        self._check_condition(settings, place)
        targets = tuple(self._models.targets(settings, place)) if settings.targets else ()
        fallbacks = None
        if settings.fallbacks is not None:
            fallbacks = tuple(self._models.fallbacks(settings.fallbacks, place, {item.id for item in targets}))
        if settings.model is not None:
            self._check_model(settings.model, (*place, "model"))
        if settings.provider_key is not None:
            self._check_key(settings.provider_key, targets, (*place, "provider_key"))
        return Rule(
            name=settings.name,
            level=level,
            owner=owner,
            condition=settings.when.strip(),
            chain=settings.chain,
            refuses_unknown=settings.on_unknown == "refuse",
            model=settings.model,
            targets=targets,
            fallbacks=fallbacks,
            strategy=self._strategy(settings, place),
            refusal=settings.refuse.message if settings.refuse is not None else None,
            provider_key=settings.provider_key,
            timeouts=settings.timeouts.model_dump(exclude_none=True),
            settings=self._parameters(settings, place),
            dropped=tuple(settings.drop),
            requirements=compile_require(settings.require, f"routing rule {settings.name}"),
            value=settings.value,
        )

    def _check_parts(self, settings: RuleSettings, place: Location) -> None:
        routing = [name for name in ("model", "targets", "refuse") if name in settings.model_fields_set]
        if len(routing) > 1:
            self._findings.error(place, f"set only one of {', '.join(routing)}")
        parts = named_parts(settings)
        if not parts:
            self._findings.error(place, "the rule changes nothing; set model, targets, refuse or another change")
        elif "refuse" in parts and (len(parts) > 1 or settings.chain):
            self._findings.error(place, "a rule that refuses requests can change nothing else; remove the other fields")

    def _scope(self, scope: str, place: Location) -> tuple[RuleLevel, str]:
        level, _, owner = scope.partition(":")
        known = self._names.owners.get(cast("RuleLevel", level), ())
        if owner and owner not in known:
            kind = level.replace("_", " ")
            self._findings.error((*place, "scope"), f"unknown {kind} {owner!r}{nearest(owner, known)}")
        return cast("RuleLevel", level), owner

    def _check_condition(self, settings: RuleSettings, place: Location) -> None:
        constant = self._conditions.check(settings.when, settings.name, (*place, "when"))
        if not settings.enabled or constant is None:
            return
        if constant is not True:
            problem = "is always false" if constant is False else f"always fails: {constant}"
            self._findings.error((*place, "when"), f"the condition {problem}, so no request reaches this rule")
        elif not settings.chain:
            self._final.setdefault(settings.scope, settings.name)

    def _check_reachable(self, settings: RuleSettings, place: Location) -> None:
        final = self._final.get(settings.scope)
        if final is not None and final != settings.name:
            message = f"no request reaches this rule, because the rule {final!r} before it matches every request"
            self._findings.error(place, message)
        condition = settings.when.strip()
        if not condition or "sticky" in condition or final is not None:  # the name of a rule is the salt of `sticky`
            return
        taken = self._taken.get((settings.scope, condition))
        if taken is not None and settings.on_unknown in ("skip", taken.on_unknown):
            message = f"no request reaches this rule, because the rule {taken.name!r} before it has the same condition"
            self._findings.error(place, message)
        elif taken is None and not settings.chain:
            self._taken[settings.scope, condition] = settings

    def _check_model(self, model: str, place: Location) -> None:
        if model not in self._public and find(self._models.names, model) is None:
            guess = nearest(model, self._public)
            self._findings.error(place, f"no public name and no configured provider serves {model!r}{guess}")

    def _check_key(self, name: str, targets: Sequence[Candidate], place: Location) -> None:
        endpoints: Sequence[Endpoint] = [item.endpoint for item in targets] or list(self._models.endpoints.values())
        known = [key.name for endpoint in endpoints for key in endpoint.keys]
        if name not in known:
            where = "target" if targets else "configured provider"
            self._findings.error(place, f"no {where} has a key {name!r}{nearest(name, known)}")

    def _strategy(self, settings: RuleSettings, place: Location) -> Strategy | None:
        if settings.strategy is not None:
            return compile_strategy(settings.strategy, (*place, "strategy"), self._findings)
        has_weights = any("weight" in target.model_fields_set for target in settings.targets)
        return Strategy("weighted") if has_weights else None

    def _parameters(self, settings: RuleSettings, place: Location) -> dict[str, Raw]:
        for field, names in (("set", settings.set), ("drop", settings.drop)):
            for name in names:
                if name in FIXED:
                    message = f"the gateway acts on {name!r} before rules are evaluated, so a rule cannot change it"
                    self._findings.error((*place, field), message)
        for name in BOUNDS:
            value = settings.set.get(name)
            if value is not None and (type(value) is not int or value < 1):
                self._findings.error((*place, "set", name), "must be a whole number of tokens, at least 1")
        return {name: Raw(msgspec.json.encode(value)) for name, value in settings.set.items()}
