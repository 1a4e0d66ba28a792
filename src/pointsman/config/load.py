"""Turns bytes into a checked document. Reports all errors of form at once, each with its path, its line and a
remedy."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointsman.config.problems import Findings, Problem, in_order, nearest
from pointsman.config.resource import Resource
from pointsman.config.resources import merge
from pointsman.config.schema import Document
from pointsman.config.sealing import bind_seals
from pointsman.config.sections import Section
from pointsman.config.source import Location, Source, SourceError, parse, written_place
from pointsman.routing.wording import listed


class Loaded(Struct, frozen=True):
    """The readable part of a file. `problems` are the errors of form.

    If there are such errors, `document` lacks the faulty fields, so that the rest can be checked too. It is `None` if
    no usable part remains. `lost` lists the omitted places.
    """

    document: Document | None
    source: Source
    problems: tuple[Problem, ...] = ()
    lost: tuple[Location, ...] = ()
    content: bytes = b""
    resources: tuple[Resource, ...] = ()


def load(content: bytes, resources: Sequence[Resource] = ()) -> Loaded:
    """Read the bytes of a configuration file, and merge the resources that were made by API. Never raises for their
    content."""
    try:
        source = parse(content)
    except SourceError as error:
        nothing = Source({}, {})
        path, _ = nothing.place(error.location)
        return Loaded(None, nothing, (Problem(path, error.message, error.line),))
    duplicates = [Problem(source.place(one.location)[0], one.message, one.line) for one in source.duplicates]
    source, clashes = merge(source, resources)
    duplicates += clashes
    source.data = bind_seals(source.data)
    merged = tuple(resources)
    try:
        document = Document.model_validate(source.data)
        return Loaded(document, source, tuple(duplicates), content=content, resources=merged)
    except ValidationError as error:
        details = _relevant(error)
    findings = Findings(source)
    for item in details:
        location = location_of(item)
        findings.error(location, explain(location, item))
    rest, lost = _without(source.data, details)
    problems = in_order((*duplicates, *findings.in_order()))
    return Loaded(rest, source, problems, lost, content=content, resources=merged)


def location_of(details: ErrorDetails) -> Location:
    """Return the place of an error in the document."""
    location = tuple(part for part in details["loc"] if part not in _MAPPINGS and not str(part).startswith("literal["))
    return location[:-1] if location and location[-1] == "[key]" else location


def _relevant(error: ValidationError) -> list[ErrorDetails]:
    return [item for item in error.errors(include_url=False) if not _is_of_other_form(item)]


def _is_of_other_form(details: ErrorDetails) -> bool:
    """Return whether an error is about the other form of a field. If a field may be text or a mapping, each form
    reports an error. Only that of the value's form is relevant."""
    location, value = details["loc"], details["input"]
    if not location or not (location[-1] in _MAPPINGS or str(location[-1]).startswith("literal[")):
        return False
    return isinstance(value, dict) if location[-1] not in _MAPPINGS else not isinstance(value, dict)


def _without(
    data: Mapping[str, object], details: Sequence[ErrorDetails]
) -> tuple[Document | None, tuple[Location, ...]]:
    """Omit these fields. Return the document, if it is valid without them, and the lost places. A part that requires an
    omitted field is omitted in turn. So one faulty entry does not keep the others from being checked."""
    pruned: dict[str, Any] = deepcopy(dict(data))
    lost: dict[Location, None] = {}
    while True:
        places: set[Location] = set()
        for item in details:
            location = location_of(item)
            place, _ = written_place(pruned, location)
            if not place:
                return None, tuple(lost)
            places.add(place)
            if item["type"] != "extra_forbidden":
                lost[location] = None
            if isinstance(place[-1], int):  # later items get other numbers
                last = max(index for index, part in enumerate(location) if isinstance(part, int))
                lost[location[:last]] = None
        for place in sorted(places, key=_behind_first, reverse=True):
            _remove(pruned, place)
        try:
            return Document.model_validate(pruned), tuple(lost)
        except ValidationError as error:
            details = _relevant(error)


def _behind_first(place: Location) -> tuple[int, list[tuple[int, str]]]:
    """Return a sort key. In descending order, no removal changes the path to a later one."""
    return len(place), [(part, "") if isinstance(part, int) else (0, part) for part in place]


def _remove(data: dict[str, Any], place: Location) -> None:
    """Remove a field. An entry that others refer to by its name stays, empty, as long as that is valid."""
    node: Any = data
    for part in place[:-1]:
        node = node[part]
    if place[:-1] in _REFERRED_TO and node[place[-1]] != {}:
        node[place[-1]] = {}
    else:
        del node[place[-1]]


def explain(location: Location, details: ErrorDetails, root: type[Section] = Document) -> str:
    """Describe the error in the words of this file format. Never repeats a value: it may be a secret in the wrong
    place. `root` is the class of the whole document."""
    match details["type"]:
        case "extra_forbidden":
            return _unknown_field(location, root)
        case "missing":
            return "this field is required"
        case "string_pattern_mismatch":
            return _mismatch(details["ctx"]["pattern"], details["input"])
        case "literal_error":
            return f"must be {details['ctx']['expected']}"
        case "decimal_max_places":
            return f"must have at most {details['ctx']['decimal_places']} decimals"
        case "too_short" | "too_long" | "string_too_short" | "string_too_long":
            return _length(details)
    expected = _EXPECTED.get(details["type"])
    if expected is not None:
        return f"must be {expected}, not {_kind_of(details['input'])}{_number_hint(expected, details['input'])}"
    message = details["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"must be {message}" if details["msg"].startswith("Input should be ") else message


def _mismatch(pattern: str, value: object) -> str:
    """Explain a text of a wrong form. Only the code of a character is named, and only of one that cannot be seen."""
    odd = next((one for one in str(value) if not one.isprintable()), None)
    message = _NAMING.get(pattern, f"must match {pattern}")
    return message if odd is None else f"{message}; the character U+{ord(odd):04X} is not allowed, remove it"


def _length(details: ErrorDetails) -> str:
    context = details["ctx"]
    unit = "characters" if details["type"].startswith("string") else "items"
    if "min_length" in context:
        return (
            "must not be empty" if context["min_length"] == 1 else f"must have at least {context['min_length']} {unit}"
        )
    return f"must have at most {context['max_length']} {unit}"


_REFERRED_TO = frozenset({("providers",), ("governance", "teams"), ("governance", "customers")})
# The parts of an error's place that name the form of a value, where a field may be a text or a mapping.
_MAPPINGS = frozenset({"HoursSettings", "AwsSettings", "EntraSettings"})
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "finite_number": "a finite number",
    "is_instance_of": "a number",  # `Decimal` is the only class with such a check
}

_EXPONENT = re.compile(r"[-+]?[0-9_]*\.?[0-9_]*[eE][-+]?[0-9]+")

_NAMING = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "a name must have 1 to 64 letters, digits, dots, dashes or underscores, "
    "and must begin with a letter or digit",
    r"^[^\s\x00-\x1f\x7f]{1,256}$": "a model name must have 1 to 256 characters and no spaces",
    r"^arn:[a-z-]+:iam::[0-9]{12}:role/[!-~]{1,512}$": "must be the ARN of a role, such as "
    "arn:aws:iam::123456789012:role/gateway",
    r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$": "must be the name of an HTTP header",
}


def _number_hint(expected: str, value: object) -> str:
    """Explain how to write a number with an exponent, which YAML knows in one form only."""
    if expected == "a whole number":
        is_meant = isinstance(value, float) or (isinstance(value, str) and _EXPONENT.fullmatch(value))
        return "; write it without a decimal point and an exponent" if is_meant else ""
    if expected == "a number" and isinstance(value, str) and _EXPONENT.fullmatch(value):
        return "; write an exponent with point and sign, as in `1.5e+6`"
    return ""


def _kind_of(value: object) -> str:
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false (put it in quotes if it is text)"),
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "a mapping"),
    )
    if isinstance(value, float | Decimal) and not isfinite(value):
        return "infinity or not-a-number"
    for kind, name in kinds:
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "a date or time (put it in quotes if it is text)"


def _unknown_field(location: Location, root: type[Section]) -> str:
    section = _section_at(location[:-1], root)
    if section is None:
        return "unknown field"
    name = str(location[-1])
    if name in section.PLANNED:
        return f"{name!r} is not supported by this version"
    guess = nearest(name, section.model_fields)
    return f"unknown field{guess or '; the fields of this section are ' + listed(section.model_fields)}"


def _section_at(location: Location, root: type[Section]) -> type[Section] | None:
    """Return the class that describes this place of the document."""
    kind: Any = root
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = None if field is None else field.annotation
        else:
            arguments = get_args(kind)
            kind = arguments[-1] if get_origin(kind) in (dict, list, Mapping) else None
        kind = _plain(kind)
        if kind is None:
            return None
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _plain(kind: Any) -> Any:
    """Return a type without `Annotated` and `| None`."""
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            kind = get_args(kind)[0]
        elif origin in (Union, UnionType):
            kind = next(argument for argument in get_args(kind) if argument is not type(None))
        else:
            return kind
