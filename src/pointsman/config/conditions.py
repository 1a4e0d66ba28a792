"""Checks the conditions of rules, and the facts that the configuration names."""

from collections.abc import Collection

from pointsman.config.problems import Findings, nearest
from pointsman.config.source import Location
from pointsman.routing.conditions.facts import Reference
from pointsman.routing.conditions.named import reference_named
from pointsman.routing.conditions.programs import Compiler
from pointsman.routing.conditions.references import ConditionError


class ConditionChecker:
    """Adds the errors of conditions to the findings. `key_headers` carry virtual keys. `headers` are those that the
    checked conditions and facts read, in lower case."""

    def __init__(self, findings: Findings, key_headers: Collection[str], endpoints: Collection[str]) -> None:
        self._findings = findings
        self._key_headers = key_headers
        self._endpoints = endpoints
        self.headers: dict[str, None] = {}

    def check(self, condition: str, salt: str, place: Location) -> object:
        """Check an expression. Return its value if it reads no fact: `True`, `False` or a text that describes an error.
        Otherwise return `None`."""
        source, compiler = condition.strip() or "true", Compiler()
        try:
            found = compiler.declare(source, salt)
            compiler.check(source, found)
            constant = compiler.constant(found)
        except ConditionError as error:
            self._findings.error(place, located(error, source))
            return None
        for reference in found.references:
            self._check_reference(reference, place)
        return constant

    def fact(self, text: str, place: Location) -> str:
        """Return the name of a fact as in the log; an empty text if there is no such fact."""
        try:
            reference = reference_named(text)
        except ConditionError as error:
            self._findings.error(place, error.message)
            return ""
        self._check_reference(reference, place)
        return str(reference)

    def _check_reference(self, reference: Reference, place: Location) -> None:
        """Check a name in a reference against the configuration."""
        if reference.fact == "headers":
            name = reference.key.lower()
            if name in self._key_headers:
                message = f"the header {name} carries virtual keys and cannot be read; use key.name or key.labels"
                self._findings.error(place, message)
            self.headers[name] = None
        provider = ""
        if reference.fact in ("health", "price"):
            provider = reference.key.partition("/")[0]
        elif reference.key.startswith("provider:"):
            provider = reference.key.removeprefix("provider:")
        if provider and provider not in self._endpoints:
            guess = nearest(provider, self._endpoints)
            self._findings.error(place, f"{reference}: unknown provider {provider!r}{guess}")


def located(error: ConditionError, source: str) -> str:
    """Return the message of an error with its place in the condition."""
    if error.position is None:
        return error.message
    before = source[: error.position]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    where = f"column {column}" if "\n" not in source else f"line {line}, column {column}"
    return f"{error.message} (at {where} of the condition)"
