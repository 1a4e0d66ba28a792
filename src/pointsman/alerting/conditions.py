"""The conditions of checks as compiled programs. They are imported with the first rule, since CEL takes 20 MB."""

from typing import Any, get_args, get_type_hints

from msgspec import Struct

from pointsman.alerting.api import AlertSubject, Check
from pointsman.alerting.subjects import SUBJECTS
from pointsman.routing.conditions.programs import Compiler
from pointsman.routing.conditions.references import Vocabulary
from pointsman.wire.params import Kind

_KINDS: dict[type, Kind] = {str: "text", float: "number", int: "integer", bool: "flag"}


def fact_kinds(subject: AlertSubject) -> dict[str, Kind]:
    """Return the facts of a subject with their types."""
    hints: dict[str, Any] = get_type_hints(subject.facts)
    found: dict[str, Kind] = {}
    for name in subject.facts.__struct_fields__:
        options = [one for one in get_args(hints[name]) or (hints[name],) if one is not type(None)]
        found[name] = _KINDS[options[0]]
    return found


VOCABULARIES = {name: Vocabulary(fact_kinds(subject)) for name, subject in SUBJECTS.items()}


class CompiledCheck:
    """A check that can be evaluated. Raises `ConditionError` for a condition that is not valid."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._compiler = Compiler(VOCABULARIES[check.each])
        condition = self._compiler.declare(check.when, check.when)
        self._program = self._compiler.program(condition.text)
        self._names = [(reference.fact, name) for reference, name in self._compiler.variables.items()]

    def holds(self, row: Struct) -> bool | None:
        """Return whether the condition holds for a row; `None` if it reads an unknown fact, or fails."""
        values: dict[str, Any] = {name: getattr(row, fact) for fact, name in self._names}
        if None in values.values():
            return None
        found = self._program(self._compiler.activate(values))
        return found if isinstance(found, bool) else None


def both(one: str, other: str) -> str:
    """Return the condition that both of these hold."""
    return f"({one}\n) && ({other}\n)" if one and other else one or other  # the line end closes a comment
