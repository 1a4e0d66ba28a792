"""The rules of a snapshot, compiled: which of them match a request, and what they change together.

Rules are evaluated by scope, from the virtual key to the global ones, and in the order of the list within a scope. The
first match counts. The conditions of a scope's owner share one set of variables, and ten of them are folded into one
program, so that ten rules cost one evaluation. A condition depends on nothing but its variables, so results are kept by
their values. Most requests then cost no evaluation at all.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.rules import RULE_LEVELS, Directive, Rule, RuleStep, RuleTrace, Value, shown
from pointsman.routing.conditions.facts import Reference, Sources, read_of
from pointsman.routing.conditions.named import logged_read_of, reference_named
from pointsman.routing.conditions.programs import FOLDED, Activation, Compiler, Program, fold
from pointsman.routing.conditions.references import Rewritten
from pointsman.routing.view import View
from pointsman.wire.params import with_params

MAX_CHAIN = 10  # rules that can match one request
MAX_DIRECTIVES = 4096
MAX_KEYS = 8192
MAX_RESULTS = 2048  # of one owner's rules
MAX_TEXT = 256  # characters of a value, for its result to be kept


Values = tuple[Value | None, ...]


class Ruling(Struct, frozen=True, gc=False):
    """The outcome of the rules for a request: the call as they changed it, what they set beside, and the trace."""

    call: Call
    directive: Directive | None
    trace: RuleTrace


class RuleBook:
    """The compiled rules of one snapshot. `logged` are references to facts that are stored with each request."""

    def __init__(self, rules: Sequence[Rule], logged: Sequence[str] = ()) -> None:
        owned: dict[tuple[str, str], list[Rule]] = {}
        for rule in rules:
            owned.setdefault((rule.level, rule.owner), []).append(rule)
        self._groups = {owner: RuleGroup(found) for owner, found in owned.items()}
        self._by_key: dict[VirtualKey | None, list[RuleGroup]] = {}
        self._directives: dict[tuple[Rule, ...], Directive] = {}
        facts = [reference_named(text) for text in logged]
        self._logged = [(str(reference), logged_read_of(reference)) for reference in facts]
        references = [*facts, *(reference for group in self._groups.values() for reference in group.references)]
        self.reads_client = any(reference.fact == "client_ip" for reference in references)

    def apply(self, facts: Facts, view: View, now: float) -> Ruling | Failure:
        """Return what the rules make of a request, or the rejection that a rule demands."""
        groups = self.groups_for(facts.virtual_key)
        matched: tuple[Rule, ...] = ()
        traces = [self._logged_trace(Sources(facts, view, now))] if self._logged else []
        while len(matched) < MAX_CHAIN:
            found, at = None, Sources(facts, view, now)
            for group in groups:
                found = group.first(at) if not matched else group.evaluate(group.values(at), matched)
                traces.append(found.trace)
                if found.undecided is not None:
                    return _undecided(found.undecided, joined(traces, ()))
                if found.rule is not None:
                    break
            if found is None or found.rule is None:
                break
            matched = (*matched, found.rule)
            if not found.rule.chain:
                break
            facts = replace(facts, call=changed_by(facts.call, found.rule))
        if not matched:
            return Ruling(facts.call, None, joined(traces, ()))
        directive, last = self.directive(matched), matched[-1]
        trace = joined(traces, directive.rules)
        if directive.refusal is not None:
            message = f"the routing rule {last.name} rejects this request: {directive.refusal}"
            return Failure(failures.REFUSED_BY_RULE, message, rules=trace)
        return Ruling(facts.call if last.chain else changed_by(facts.call, last), directive, trace)

    def _logged_trace(self, at: Sources) -> RuleTrace:
        """Return a trace without rules, with the values of the facts to store."""
        values = {text: value for text, read in self._logged if (value := read(at)) is not None}
        return RuleTrace((), (), values, {text: shown(value) for text, value in values.items()})

    def groups_for(self, key: VirtualKey | None) -> "list[RuleGroup]":
        """Return the groups of rules for a virtual key, in the order of precedence."""
        found = self._by_key.get(key)
        if found is None:
            if len(self._by_key) >= MAX_KEYS:
                self._by_key.clear()
            names = (key.name, key.team, key.customer, "") if key is not None else (None, None, None, "")
            owners = [(level, name) for level, name in zip(RULE_LEVELS, names, strict=True) if name is not None]
            if key is not None and key.parent is not None:
                owners.insert(1, (RULE_LEVELS[0], key.parent))
            found = self._by_key[key] = [self._groups[owner] for owner in owners if owner in self._groups]
        return found

    def directive(self, matched: tuple[Rule, ...]) -> Directive:
        """Return what these rules change together."""
        found = self._directives.get(matched)
        if found is None:
            if len(self._directives) >= MAX_DIRECTIVES:
                self._directives.clear()
            found = self._directives[matched] = merged(matched)
        return found


def _undecided(step: RuleStep, trace: RuleTrace) -> Failure:
    message = f"the routing rule {step.rule} cannot be decided, and rejects such requests: {step.message}"
    return Failure(failures.RULE_UNDECIDED, message, retry_after_s=1.0, rules=trace)


def joined(traces: Sequence[RuleTrace], matched: tuple[str, ...]) -> RuleTrace:
    """Return the trace of several evaluations. Rules that were evaluated again in a chain are listed once. A fact that
    a rule of the chain changed is listed again, with the name of that rule."""
    if len(traces) == 1 and traces[0].matched == matched:
        return traces[0]
    facts: dict[str, Value] = {}
    texts: dict[str, str] = {}
    changed_by = ""
    for trace in traces:
        for name, value in trace.facts.items():
            known = facts.get(name)
            place = name if known is None or known == value else f"{name} after {changed_by}"
            facts[place], texts[place] = value, trace.texts[name]
        changed_by = trace.matched[-1] if trace.matched else changed_by
    return RuleTrace(
        matched,
        tuple(dict.fromkeys(name for trace in traces for name in trace.evaluated)),
        facts,
        texts,
        tuple(dict.fromkeys(step for trace in traces for step in trace.exceptions)),
    )


def merged(rules: Sequence[Rule]) -> Directive:
    """Return the changes of several rules in the order of their match."""
    found = Directive(rules=tuple([rule.name for rule in rules]))
    for rule in rules:
        is_routing = rule.model is not None or bool(rule.targets)
        has_fallbacks = is_routing or rule.fallbacks is not None
        found = replace(
            found,
            routed_by=rule.name if has_fallbacks else found.routed_by,
            keyed_by=rule.name if rule.provider_key is not None else found.keyed_by,
            model=rule.model if is_routing else found.model,
            targets=rule.targets if is_routing else found.targets,
            fallbacks=rule.fallbacks if has_fallbacks else found.fallbacks,
            strategy=rule.strategy or found.strategy,
            refusal=rule.refusal,
            provider_key=rule.provider_key or found.provider_key,
            timeouts={**found.timeouts, **rule.timeouts},
            requirements=(*found.requirements, *rule.requirements),
            value=found.value if rule.value is None else rule.value,
        )
    return found


def changed_by(call: Call, rule: Rule) -> Call:
    """Return the call with the model and the parameters that a rule sets."""
    if rule.settings or rule.dropped:
        call = with_params(call, rule.settings, rule.dropped)
    return replace(call, model=rule.model) if rule.model is not None and call.model else call


class _Result(Struct, frozen=True, gc=False):
    """The first rule that matches, if any. `undecided` is a rule that has no result and rejects such requests."""

    rule: Rule | None
    trace: RuleTrace
    undecided: RuleStep | None = None


class RuleResult(Struct, frozen=True, gc=False):
    """The result of a rule for some values. If `holds` is `None`, it depends on the `missing` values. A rule whose
    condition `fails` does not hold."""

    rule: Rule
    holds: bool | None
    fails: bool = False
    missing: tuple[str, ...] = ()


class RuleGroup:
    """The rules of one owner, with the functions that read their facts."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._names = tuple([rule.name for rule in rules])
        self._compiler = compiler = Compiler()
        self._conditions = tuple([compiler.declare(rule.condition or "true", rule.name) for rule in rules])
        self.references = tuple(compiler.variables)
        self._reads = tuple([read_of(reference) for reference in self.references])
        self._texts = tuple(map(str, compiler.variables))
        self._variables = tuple(compiler.variables.values())
        self._folded = [
            compiler.program(fold(self._conditions[start : start + FOLDED])) for start in range(0, len(rules), FOLDED)
        ]
        self._single: dict[int, Program] = {}
        self._results: dict[Values, _Result] = {}

    def values(self, at: Sources) -> Values:
        """Return the values of all facts that the rules read; `None` for those that are unknown."""
        return tuple([read(at) for read in self._reads])

    def first(self, at: Sources) -> _Result:
        """Return the first rule that matches a request."""
        values = self.values(at)
        found = self._results.get(values)
        if found is None:
            found = self.evaluate(values, ())
            if all(not isinstance(value, str) or len(value) <= MAX_TEXT for value in values):
                if len(self._results) >= MAX_RESULTS:
                    self._results.clear()
                self._results[values] = found
        return found

    def evaluate(self, values: Values, matched: tuple[Rule, ...]) -> _Result:
        """Return the first rule that matches these values and has not matched before."""
        known = {name: value for name, value in zip(self._variables, values, strict=True) if value is not None}
        activation = self._compiler.activate(known)
        exceptions: list[RuleStep] = []
        for number, program in enumerate(self._folded):
            start = number * FOLDED
            found = program(activation) if not matched else None
            if type(found) is int:
                index, undecided = found, None
            else:
                index, undecided = self._singly(start, activation, values, matched, exceptions)
            if index >= 0:
                end = start + index + 1
                rule = self.rules[end - 1] if undecided is None else None
                return _Result(rule, self._trace(values, end, rule, exceptions), undecided)
        return _Result(None, self._trace(values, len(self.rules), None, exceptions))

    def results(self, value: Callable[[Reference], Value | None], matched: tuple[Rule, ...]) -> Iterator[RuleResult]:
        """Yield the result of each rule that has not matched before, in order, for the values that a function has for
        the references; `None` if it has none."""
        values = [value(reference) for reference in self.references]
        known = {name: found for name, found in zip(self._variables, values, strict=True) if found is not None}
        unknown = {text for text, found in zip(self._texts, values, strict=True) if found is None}
        activation = self._compiler.activate(known)
        for index, rule in enumerate(self.rules):
            if rule in matched:
                continue
            result = self._program(index)(activation)
            if isinstance(result, bool):
                yield RuleResult(rule, result)
                continue
            missing = tuple([text for text in map(str, self._conditions[index].references) if text in unknown])
            yield RuleResult(rule, None if missing else False, not missing, missing)

    def _singly(
        self,
        start: int,
        activation: Activation,
        values: Values,
        matched: tuple[Rule, ...],
        exceptions: list[RuleStep],
    ) -> tuple[int, RuleStep | None]:
        """Evaluate ten rules one by one: a fact is unknown, a condition fails, or a rule has matched before. Return the
        index of the first that matches or rejects the request, or -1. Add those without a result to `exceptions`."""
        unknown = {text for text, value in zip(self._texts, values, strict=True) if value is None}
        for offset, rule in enumerate(self.rules[start : start + FOLDED]):
            if rule in matched:
                continue
            result = self._program(start + offset)(activation)
            if result is True:
                return offset, None
            if result is False:
                continue
            exceptions.append(_exception(rule, self._conditions[start + offset], unknown, result))
            if rule.refuses_unknown:
                return offset, exceptions[-1]
        return -1, None

    def _program(self, index: int) -> Program:
        """Return the program of one condition, for the rare case that the folded one has no result."""
        found = self._single.get(index)
        if found is None:
            found = self._single[index] = self._compiler.program(self._conditions[index].text)
        return found

    def _trace(self, values: Values, end: int, rule: Rule | None, exceptions: Sequence[RuleStep]) -> RuleTrace:
        facts = {text: value for text, value in zip(self._texts, values, strict=True) if value is not None}
        matched = (rule.name,) if rule is not None else ()
        texts = {name: shown(value) for name, value in facts.items()}
        return RuleTrace(matched, self._names[:end], facts, texts, tuple(exceptions))


def _exception(rule: Rule, condition: Rewritten, unknown: Collection[str], result: object) -> RuleStep:
    missing = [text for text in map(str, condition.references) if text in unknown]
    if missing:
        return RuleStep(rule.name, "unknown", f"{', '.join(missing)} is unknown")
    return RuleStep(rule.name, "error", str(result))
