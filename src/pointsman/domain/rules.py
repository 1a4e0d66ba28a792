"""Routing rules as data: what each rule changes, and the trace of their evaluation."""

from typing import Literal, get_args

from msgspec import Raw, Struct

from pointsman.domain.requirements import Requirement
from pointsman.domain.targets import Candidate, Strategy

Value = str | int | float | bool  # of a fact that a condition reads

MAX_SHOWN = 256  # characters of a value in the log


def shown(value: Value) -> str:
    """Return a value for the log: a text as it is, unless it is very long, and others as in a condition."""
    if isinstance(value, str):
        return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}… ({len(value)} characters)"
    return str(value).lower() if isinstance(value, bool | int) else f"{value:g}"


# The owners that a rule can be limited to, in the order of their precedence.
RuleLevel = Literal["virtual_key", "team", "customer", "global"]
RULE_LEVELS: tuple[RuleLevel, ...] = get_args(RuleLevel)


class RuleChanges(Struct, frozen=True, kw_only=True, eq=False):
    """The changes of rules to a request. They set one of `model`, `targets` and `refusal`, or none of them. `fallbacks`
    replace those of the model and of the request. `provider_key` is the only key to use at each provider. `timeouts`
    has fields of `Timeouts`. `requirements` narrow the candidates. `value` is that of the request for paced budgets,
    relative to others."""

    model: str | None = None
    targets: tuple[Candidate, ...] = ()
    fallbacks: tuple[Candidate, ...] | None = None
    strategy: Strategy | None = None
    refusal: str | None = None
    provider_key: str | None = None
    timeouts: dict[str, float] = {}
    requirements: tuple[Requirement, ...] = ()
    value: float | None = None


class Rule(RuleChanges, frozen=True, kw_only=True, eq=False):
    """A routing rule. `condition` is its expression in CEL; an empty one always holds. It applies to the requests of
    `owner`, a name of its `level`. `settings` and `dropped` are parameters of the body to set and to remove. With
    `chain`, the rules are evaluated again for the changed request. If a fact is unknown or the evaluation fails,
    `refuses_unknown` rejects the request; otherwise the rule does not match."""

    name: str
    level: RuleLevel = "global"
    owner: str = ""
    condition: str = ""
    chain: bool = False
    refuses_unknown: bool = False
    settings: dict[str, Raw] = {}
    dropped: tuple[str, ...] = ()


class RuleStep(Struct, frozen=True, gc=False):
    """The result of one rule: `matched`, `no match`, `unknown` if it needs an unknown fact, or `error`. `message` says
    which fact, or which error."""

    rule: str
    result: str
    message: str = ""


class RuleTrace(Struct, frozen=True, gc=False):
    """The evaluation of the rules for one request. `matched` are the rules that matched, in the order of a chain.
    `evaluated` are all that were evaluated, in order; those without a step in `exceptions` did not match. `facts` are
    the values that they read, by the text of the reference, and `texts` the same for the log."""

    matched: tuple[str, ...]
    evaluated: tuple[str, ...]
    facts: dict[str, Value]
    texts: dict[str, str]
    exceptions: tuple[RuleStep, ...] = ()

    def steps(self) -> list[RuleStep]:
        """Return the result of each evaluated rule."""
        found = {step.rule: step for step in self.exceptions}
        return [
            found.get(name) or RuleStep(name, "matched" if name in self.matched else "no match")
            for name in self.evaluated
        ]


class Directive(RuleChanges, frozen=True, kw_only=True, eq=False):
    """The changes of all rules that matched a request, merged: the last one counts for each field. Requests with the
    same rules share one. `routed_by` is the rule that set the model, the targets or the fallbacks, and `keyed_by` the
    one that set the provider key."""

    rules: tuple[str, ...]
    routed_by: str = ""
    keyed_by: str = ""
