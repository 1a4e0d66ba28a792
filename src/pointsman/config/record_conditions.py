"""Conditions in CEL about the record of a request, by which a sink chooses records."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from pointsman.routing.conditions.facts import MapKind, Read
from pointsman.routing.conditions.programs import Compiler
from pointsman.routing.conditions.references import Vocabulary
from pointsman.wire.params import Kind


class ConditionFacts(Struct, kw_only=True):
    """The fields of a record that conditions read. Durations are microseconds, and costs nano-dollars."""

    status: int = 0
    code: str | None = None
    operation: str | None = None
    model: str | None = None
    stream: bool = False
    virtual_key: str | None = None
    team: str | None = None
    customer: str | None = None
    provider: str | None = None
    upstream_model: str | None = None
    variant: str | None = None
    session: str | None = None
    rule: str | None = None
    attempts: tuple[object, ...] = ()
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_nano: int = 0
    duration_us: int = 0
    tags: dict[str, str] = {}
    labels: dict[str, str] = {}


def _text(name: str) -> tuple[Kind, Callable[[ConditionFacts], Any]]:
    return "text", lambda facts: getattr(facts, name) or ""


_TEXTS = (
    "code", "operation", "model", "virtual_key", "team", "customer", "provider", "upstream_model", "variant", "session",
    "rule",
)  # fmt: skip
_READ: dict[str, tuple[Kind, Callable[[ConditionFacts], Any]]] = {
    **{name: _text(name) for name in _TEXTS},
    "status": ("integer", lambda facts: facts.status),
    "attempts": ("integer", lambda facts: len(facts.attempts)),
    "tokens_in": ("integer", lambda facts: facts.tokens_in or 0),
    "tokens_out": ("integer", lambda facts: facts.tokens_out or 0),
    "cost_usd": ("number", lambda facts: facts.cost_nano / 1e9),
    "duration_s": ("number", lambda facts: facts.duration_us / 1e6),
    "stream": ("flag", lambda facts: facts.stream),
}


def _unread(_: str) -> Read:
    raise NotImplementedError("a record is read by `RecordCondition`")


_MAPS = {
    "tags": MapKind("text", _unread, "A tag that the client set; empty without it.", "feature"),
    "labels": MapKind("text", _unread, "A label of the virtual key; empty without it.", "environment"),
}
VOCABULARY = Vocabulary({name: kind for name, (kind, _) in _READ.items()}, _MAPS)


class RecordCondition:
    """A condition that can be evaluated. Raises `ConditionError` if it is not valid."""

    def __init__(self, source: str) -> None:
        self._compiler = Compiler(VOCABULARY)
        condition = self._compiler.declare(source, "")
        self._compiler.check(source, condition)
        self._program = self._compiler.program(condition.text)
        self._variables = list(self._compiler.variables.items())

    def holds(self, facts: ConditionFacts) -> bool:
        """Return whether the condition holds. One that fails, such as a division by zero, does not."""
        values: dict[str, Any] = {}
        for reference, name in self._variables:
            if reference.fact in _MAPS:
                values[name] = getattr(facts, reference.fact).get(reference.key, "")
            else:
                values[name] = _READ[reference.fact][1](facts)
        return self._program(self._compiler.activate(values)) is True
