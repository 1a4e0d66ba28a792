"""Conditions as compiled programs, by Google's implementation of CEL.

Only this module knows the library. It is imported when the first condition is compiled, since it takes 20 MB.
Evaluation never raises: the library returns errors as values. So only a value that is `True` matches.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NewType, Protocol, cast

from pointsman.domain.callers import Claims
from pointsman.domain.rules import Value
from pointsman.routing.conditions.facts import Reference
from pointsman.routing.conditions.references import (
    REQUEST,
    ConditionError,
    Rewritten,
    Vocabulary,
    literal_in,
    rewrite,
    tokens_of,
)
from pointsman.routing.splits import is_within
from pointsman.wire.params import Kind

if TYPE_CHECKING:
    from cel_expr_python import cel

FOLDED = 10  # conditions in one program: more would pass the library's limit on depth
_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")


Activation = NewType("Activation", object)  # the values of variables, in the library's form


class Program(Protocol):
    """A compiled expression."""

    def __call__(self, activation: Activation) -> object:
        """Return the value of the expression, or a text that describes an error."""
        ...


class Variables:
    """The variables of some expressions: one for each reference."""

    def __init__(self) -> None:
        self.names: dict[Reference, str] = {}

    def name(self, reference: Reference) -> str:
        """Return the variable of a reference."""
        return self.names.setdefault(reference, f"fact_{len(self.names)}")


class Compiler:
    """Compiles conditions that share variables. Declare all conditions before the first program is made."""

    def __init__(self, vocabulary: Vocabulary = REQUEST) -> None:
        self._vocabulary = vocabulary
        self._variables = Variables()
        self._env: cel.Env | None = None

    @property
    def variables(self) -> dict[Reference, str]:
        return self._variables.names

    def declare(self, source: str, salt: str) -> Rewritten:
        """Return a condition with variables for its references. Raises `ConditionError`."""
        _check_literals(source)
        return rewrite(source, self._variables.name, salt, self._vocabulary)

    def check(self, source: str, condition: Rewritten) -> None:
        """Check the names and the types of a condition. Raises `ConditionError`."""
        from cel_expr_python import cel  # noqa: PLC0415 -- as below

        try:
            program = self._environment().compile(condition.text)
        except RuntimeError as error:
            raise _explained(str(error), source, condition, self._vocabulary.names) from None
        if program.return_type() != cel.Type.BOOL:
            message = f"must be true or false, but is of type {program.return_type().name().lower()}"
            raise ConditionError(message)

    def program(self, text: str) -> Program:
        """Return the program of an expression in terms of the variables."""
        run = self._environment().compile(text).eval
        return lambda activation: run(activation).value()

    def activate(self, values: Mapping[str, Value]) -> Activation:
        """Return the values of the variables, by their names, in the form that programs read."""
        found: Activation = self._environment().Activation(values)
        return found

    def constant(self, condition: Rewritten) -> object:
        """Return the value of a condition without references, else `None`."""
        return None if condition.references else self.program(condition.text)(self.activate({}))

    def _environment(self) -> "cel.Env":
        if self._env is None:
            self._env = _environment(self._variables.names)
        return self._env


def fold(conditions: Sequence[Rewritten]) -> str:
    """Return one expression for the index of the first condition that is true, or -1."""
    text = "-1"
    for index in reversed(range(len(conditions))):
        text = f"({conditions[index].text}\n) ? {index} : ({text})"  # the line end closes a comment
    return text


def _environment(variables: Mapping[Reference, str]) -> "cel.Env":
    from cel_expr_python import cel  # noqa: PLC0415 -- only rules need its 20 MB
    from cel_expr_python.ext import ext_math, ext_strings  # noqa: PLC0415

    kinds: dict[Kind, cel.Type] = {
        "text": cel.Type.STRING,
        "number": cel.Type.DOUBLE,
        "integer": cel.Type.INT,
        "flag": cel.Type.BOOL,
    }
    text, flag = cel.Type.STRING, cel.Type.BOOL
    sticky = [
        cel.Overload(f"sticky_{number.name().lower()}", flag, [text, number, text], False, _sticky)
        for number in (cel.Type.INT, cel.Type.DOUBLE)
    ]
    in_network = [cel.Overload("in_cidr_text", flag, [text, text], False, _in_cidr)]
    functions = [cel.FunctionDecl("sticky", sticky), cel.FunctionDecl("in_cidr", in_network)]
    return cel.NewEnv(
        variables={name: kinds[reference.kind] for reference, name in variables.items()},
        extensions=[cel.CelExtension("pointsman", functions), ext_strings.ExtStrings(), ext_math.ExtMath()],
    )


def over_claims(source: str) -> Callable[[Claims], bool]:
    """Compile a condition over the claims of a caller, the map `claims`. It is false if it cannot be evaluated, such as
    without a claim. Raises `ConditionError`."""
    from cel_expr_python import cel  # noqa: PLC0415 -- as above
    from cel_expr_python.ext import ext_strings  # noqa: PLC0415

    _check_literals(source)
    kind = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    env = cel.NewEnv(variables={"claims": kind}, extensions=[ext_strings.ExtStrings()])
    try:
        program = env.compile(source)
    except RuntimeError as error:
        raise _explained(str(error), source, Rewritten(source, (), ()), ("claims",)) from None
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise ConditionError(f"must be true or false, but is of type {program.return_type().name().lower()}")

    def holds(claims: Claims) -> bool:
        try:
            return program.eval(env.Activation({"claims": claims})).value() is True
        except (RuntimeError, TypeError, ValueError):  # of a value that CEL has not, such as a very large number
            return False

    return holds


def _sticky(salt: str, percent: float, value: str) -> bool:
    return bool(value) and is_within(percent, salt, value)


def _in_cidr(address: str, network: str) -> bool:
    try:
        return ip_address(address) in _network(network)
    except ValueError:
        return False


@lru_cache(maxsize=256)  # nearly all are literals of conditions
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


def _check_literals(source: str) -> None:
    """Check texts that the compiler does not look into: regular expressions, and networks. Raises `ConditionError`."""
    tokens = tokens_of(source)
    for index, token in enumerate(tokens):
        if token.kind != "name" or index + 1 >= len(tokens) or tokens[index + 1].text != "(":
            continue
        if token.text == "matches":
            _check_pattern(tokens[index + 2].text if index + 2 < len(tokens) else "", token.start)
        elif token.text == "in_cidr":
            for following in tokens[index + 2 : index + 9]:
                literal = literal_in(following)
                if literal is not None and "/" in literal:
                    _check_network(literal, following.start)
        elif token.text == "sticky":
            percent = tokens[index + 2] if index + 2 < len(tokens) else None
            if percent is not None and percent.kind == "number" and not 0 <= float(percent.text.rstrip("u")) <= 100:
                raise ConditionError("the first argument of sticky is a percentage from 0 to 100", percent.start)


def _check_pattern(literal: str, position: int) -> None:
    if literal[:1] not in ("'", '"', "r", "R"):
        return
    try:
        compiler = Compiler()
        found = compiler.program(f'"".matches({literal})')(compiler.activate({}))
    except RuntimeError:
        return  # it is no literal, and the compiler reports it
    if not isinstance(found, bool):
        message = str(found).removeprefix("INVALID_ARGUMENT: ")
        raise ConditionError(message, position)


def _check_network(literal: str, position: int) -> None:
    try:
        ip_network(literal, strict=False)
    except ValueError:
        message = f"{literal!r} is not a network; write one such as 10.0.0.0/8"
        raise ConditionError(message, position) from None


def _explained(message: str, source: str, condition: Rewritten, names: Sequence[str]) -> ConditionError:
    """Return the error for a message of the compiler, with its place in the source."""
    match = _PROBLEM.search(message)
    if match is None:
        return ConditionError(message.splitlines()[0].removeprefix("INVALID_ARGUMENT: "))
    line, column, text = int(match[1]), int(match[2]), match[3].removesuffix(" [INVALID_ARGUMENT]")
    before = condition.text.splitlines(keepends=True)[: line - 1]
    position = condition.source_position(sum(map(len, before)) + column - 1)
    undeclared = _UNDECLARED.search(text)
    if undeclared is not None:
        name = undeclared[1].partition(".")[0]
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the variables are {', '.join(names)}"
        text = f"unknown variable {name!r}; {hint}"
    return ConditionError(cast("str", text), min(position, len(source)))
