"""References of a condition to facts: `headers["x-tier"]` becomes a variable of its own.

A map would have to be built for every request, and one absent key would make the whole expression an error. So each
reference with a literal key is replaced by a plain variable before the expression is compiled. Positions are kept, so
that a message of the compiler names the place in the source.

The tokens are those of CEL: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

import ast
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from pointsman.routing.conditions.facts import FACTS, MAPS, MapKind, Reference, zone_problem
from pointsman.wire.params import KINDS, Kind

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+u?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?u?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_INTEGER = re.compile(r"\d+")


class ConditionError(Exception):
    """A condition is not valid. `position` is the index in its text, if one place is at fault."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class Vocabulary(Struct, frozen=True):
    """The names that some conditions may use: plain variables with their kinds, and maps."""

    facts: Mapping[str, Kind]
    maps: Mapping[str, MapKind] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.facts, *self.maps)


REQUEST = Vocabulary({name: fact.kind for name, fact in FACTS.items()}, MAPS)  # of the conditions of rules


class Token(Struct, frozen=True, gc=False):
    """A part of an expression: `kind` is `string`, `number`, `name` or `sign`."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Rewritten(Struct, frozen=True):
    """An expression in which variables replace the references. `references` are those that it reads. `places` pairs
    positions in `text` with those in the source, in ascending order."""

    text: str
    references: tuple[Reference, ...]
    places: tuple[tuple[int, int], ...]

    def source_position(self, position: int) -> int:
        """Return the position in the source of a position in `text`."""
        found = (0, 0)
        for place in self.places:
            if place[0] > position:
                break
            found = place
        return found[1] + (position - found[0] if found[0] == position else 0)


def rewrite(
    source: str, variable: Callable[[Reference], str], salt: str, vocabulary: Vocabulary = REQUEST
) -> Rewritten:
    """Replace the references in an expression by the names that `variable` returns for them. `salt` becomes the first
    argument of each `sticky`. Raises `ConditionError`."""
    return _Rewriter(source, variable, salt, vocabulary).rewrite()


def tokens_of(source: str) -> list[Token]:
    """Return the tokens of an expression, without spaces and comments."""
    found: list[Token] = []
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or "sign"
        if kind != "space":
            found.append(Token(kind, match[0], match.start()))
    return found


def literal_in(token: Token) -> str | None:
    """Return the value of a token that is a literal text, else `None`."""
    if token.kind != "string" or "b" in token.text[:2].lower():
        return None
    try:
        value = ast.literal_eval(token.text)  # CEL's texts have the syntax of Python's, apart from rare escapes
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, str) else None


class _Rewriter:
    def __init__(self, source: str, variable: Callable[[Reference], str], salt: str, vocabulary: Vocabulary) -> None:
        self._facts, self._maps, self._paths = vocabulary.facts, vocabulary.maps, vocabulary.names
        self._source = source
        self._variable = variable
        self._salt = salt
        self._tokens = tokens_of(source)
        self._parts: list[str] = []
        self._length = 0
        self._places: list[tuple[int, int]] = []
        self._references: list[Reference] = []
        self._end = 0  # of the source that has been written

    def rewrite(self) -> Rewritten:
        tokens, index = self._tokens, 0
        while index < len(tokens):
            token = tokens[index]
            is_member = index > 0 and tokens[index - 1].text == "."
            if token.kind == "name" and not is_member:
                index = self._name(index)
            else:
                self._write(token.start, token.end, token.text)
                index += 1
        self._write(len(self._source), len(self._source), "")
        return Rewritten("".join(self._parts), tuple(dict.fromkeys(self._references)), tuple(self._places))

    def _name(self, index: int) -> int:
        """Write a name, or the variable of the reference that it begins. Return the index of the next token."""
        token, following = self._tokens[index], self._at(index + 1)
        if following == "(":
            if token.text == "present":
                return self._present(index)
            if token.text == "has":
                raise ConditionError('use present(headers, "name") to test whether a key exists', token.start)
            if token.text == "sticky":
                self._write(token.start, self._tokens[index + 1].end, f"sticky({_quoted(self._salt)}, ")
                return index + 2
        found = self._reference(index)
        if found is None:
            self._write(token.start, token.end, token.text)
            return index + 1
        reference, end = found
        self._refer(reference, token.start, self._tokens[end - 1].end)
        if reference.kind == "number" and self._at(end) in _COMPARISONS:
            return self._integers_after(end)
        return end

    def _integers_after(self, index: int) -> int:
        """Write a comparison of a fraction; an integer literal on its right becomes a fraction too."""
        sign, end = self._tokens[index], index + 1
        self._write(sign.start, sign.end, sign.text)
        if self._at(end) == "-":
            self._write(self._tokens[end].start, self._tokens[end].end, "-")
            end += 1
        if end >= len(self._tokens) or not _INTEGER.fullmatch(self._tokens[end].text):
            return end
        self._write(self._tokens[end].start, self._tokens[end].end, f"{self._tokens[end].text}.0")
        return end + 1

    def _reference(self, index: int) -> tuple[Reference, int] | None:
        """Return the reference that begins at a name, and the index of the token after it."""
        name, end = self._tokens[index].text, index + 1
        while self._at(end) == "." and end + 1 < len(self._tokens) and self._tokens[end + 1].kind == "name":
            longer = f"{name}.{self._tokens[end + 1].text}"
            if not any(one == longer or one.startswith(longer + ".") for one in self._paths):
                break
            name, end = longer, end + 2
        if name == "time" and self._at(end) == "[":
            return self._zoned(index, end)
        if name in self._facts:
            return Reference(name, "", self._facts[name]), end
        if name not in self._maps:
            if any(one.startswith(name + ".") for one in self._paths):
                fields = sorted(one for one in self._paths if one.startswith(name + "."))
                message = f"{name} alone has no value; write one of {', '.join(fields)}"
                raise ConditionError(message, self._tokens[index].start)
            return None
        key, end = self._key(name, end)
        self._check_key(name, key, index)
        return Reference(name, key, self._maps[name].kind or self._kind_by_use(key, index, end)), end

    def _zoned(self, index: int, end: int) -> tuple[Reference, int]:
        """Return the reference to `time["Europe/Berlin"].hour`."""
        key, end = self._key("time", end)
        field = self._tokens[end + 1].text if self._at(end) == "." and end + 1 < len(self._tokens) else ""
        kind = self._facts.get(f"time.{field}")
        if kind is None:
            message = f'write time["{key}"].hour, .minute or .weekday'
            raise ConditionError(message, self._tokens[index].start)
        problem = zone_problem(key)
        if problem is not None:
            raise ConditionError(problem, self._tokens[index].start)
        return Reference(f"time.{field}", key, kind), end + 2

    def _key(self, name: str, index: int) -> tuple[str, int]:
        """Return the literal key at `["key"]` or `.key`, and the index of the token after it."""
        tokens = self._tokens
        if self._at(index) == "[" and index + 2 < len(tokens) and tokens[index + 2].text == "]":
            key = literal_in(tokens[index + 1])
            if key is not None:
                return key, index + 3
        if self._at(index) == "." and index + 1 < len(tokens) and tokens[index + 1].kind == "name":
            if self._at(index + 2) == "(":
                message = (
                    f'{name} takes a literal key, such as {name}["{self._maps[name].example}"], and has no functions'
                )
                raise ConditionError(message, tokens[index + 1].start)
            return tokens[index + 1].text, index + 2
        place = tokens[index - 1].start if index <= len(tokens) else None
        example = self._maps[name].example if name in self._maps else "Europe/Berlin"
        raise ConditionError(f'{name} takes a literal key, such as {name}["{example}"]', place)

    def _check_key(self, name: str, key: str, index: int) -> None:
        check = self._maps[name].check
        problem = check(key) if check is not None else None
        if problem is not None:
            raise ConditionError(problem, self._tokens[index].start)

    def _present(self, index: int) -> int:
        """Write the variable for `present(headers, "name")`."""
        tokens, place = self._tokens, self._tokens[index].start
        usage = 'write present(headers, "name"); the other maps with keys are request_tags, params and key.labels'
        name, end = "", index + 2
        while end < len(tokens) and (tokens[end].kind == "name" or tokens[end].text == "."):
            name, end = name + tokens[end].text, end + 1
        kind = self._maps.get(name)
        if kind is None or kind.present is None:
            raise ConditionError(usage, place)
        rest = tokens[end : end + 3]
        if len(rest) < 3 or rest[0].text != "," or rest[2].text != ")":
            raise ConditionError(usage, place)
        key = literal_in(rest[1])
        if key is None:
            raise ConditionError(usage, place)
        self._check_key(name, key, index)
        self._refer(Reference(name, key, "flag", is_presence=True), place, rest[2].end)
        return end + 3

    def _kind_by_use(self, key: str, index: int, end: int) -> Kind:
        """Return the kind of a value that may have any: by the literal it is compared with, else by its name."""
        tokens = self._tokens
        if self._at(end) in _COMPARISONS and end + 1 < len(tokens):
            found = _literal_kind(tokens, end + 1)
        elif index > 1 and tokens[index - 1].text in _COMPARISONS:
            found = _literal_kind(tokens, index - 2)
        elif self._at(end) == "in" and self._at(end + 1) == "[" and end + 2 < len(tokens):
            found = _literal_kind(tokens, end + 2)
        else:
            found = None
        return found or KINDS.get(key, "text")

    def _at(self, index: int) -> str:
        return self._tokens[index].text if index < len(self._tokens) else ""

    def _refer(self, reference: Reference, start: int, end: int) -> None:
        self._references.append(reference)
        self._write(start, end, self._variable(reference))

    def _write(self, start: int, end: int, text: str) -> None:
        """Write `text` for the source from `start` to `end`, after the spaces before it."""
        between = self._source[self._end : start]
        self._parts += (between, text)
        self._length += len(between)
        self._places.append((self._length, start))
        self._length += len(text)
        self._end = end


def _literal_kind(tokens: list[Token], index: int) -> Kind | None:
    token = tokens[index]
    if token.text == "-" and index + 1 < len(tokens):
        token = tokens[index + 1]
    if token.kind == "number":
        return "number"
    if token.text in ("true", "false"):
        return "flag"
    return "text" if token.kind == "string" else None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
