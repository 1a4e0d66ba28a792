"""The YAML text: plain data, and the line of each part of it.

A configuration may come from an attacker or from a broken template. So the text is bounded in size, in depth and in the
number of values its aliases expand to. A duplicate key is rejected rather than overwritten.
"""

import re
from collections.abc import Hashable, Mapping, Sequence

import yaml
from yaml.constructor import SafeConstructor

Location = tuple[str | int, ...]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 100_000

_NO_YAML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")  # as its reader has it
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"
_MERGE = "tag:yaml.org,2002:merge"


class SourceError(Exception):
    """The text is not a usable YAML mapping. `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None, location: Location = ()) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.location = location


class Source:
    """A parsed text: `data` is its content, and `place` finds positions in it. `duplicates` are the errors of
    duplicate keys, which are omitted from the data."""

    def __init__(
        self, data: Mapping[str, object], lines: Mapping[Location, int], duplicates: Sequence[SourceError] = ()
    ) -> None:
        self.data = data
        self.duplicates = duplicates
        self.lines = lines

    def place(self, location: Location) -> tuple[str, int | None]:
        """Return the path of `location` as the file has it, and its line.

        A location refers to the full form of the document. If the file uses a short form, the path omits the levels
        that the short form omits.
        """
        found, absent = written_place(self.data, location)
        return rendered((*found, *absent)), self.lines.get(found)

    def owner(self, location: Location) -> str:  # noqa: ARG002 -- see `MergedSource`
        """Return the resource made by API that has this location, such as `team research`, or an empty text for the
        file."""
        return ""


def written_place(data: object, location: Location) -> tuple[Location, Location]:
    """Return the place of the data as written, or the nearest place around it. Also return the rest of the location, if
    a mapping lacks that field."""
    node, found = data, list[str | int]()
    for index, part in enumerate(location):
        if isinstance(node, list):
            if not isinstance(part, int):
                continue  # the list is short for a mapping with this field
            if part >= len(node):
                break
            node = node[part]
        elif isinstance(node, dict):
            if part not in node:
                return tuple(found), location[index:]
            node = node[part]
        else:
            break
        found.append(part)
    return tuple(found), ()


def rendered(location: Location) -> str:
    """Return a location as a path, such as `models.chat.targets[0]`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _PLAIN_NAME.fullmatch(part) else f'"{part}"'
            text += f".{name}" if text else name
    return text


def parse(content: bytes) -> Source:
    """Read a configuration text. Raises `SourceError`."""
    text = _decode(content)
    try:
        _check_shape(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise SourceError(_explain(error, text, line), line) from None
    except yaml.YAMLError as error:
        raise SourceError(f"not valid YAML: {error}") from None
    if root is None:
        raise SourceError("the file is empty; `providers` is required")
    if not isinstance(root, yaml.MappingNode):
        raise SourceError("the file must be a mapping of fields, such as `providers:`", root.start_mark.line + 1)
    builder = _Builder()
    data = builder.mapping(root, (), 0)
    return Source(data, builder.lines, builder.duplicates)


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise SourceError(
            f"the file has {len(content)} bytes; the limit is {MAX_BYTES} bytes; "
            "move virtual keys to a file of their own, see governance.keys_file"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"not valid UTF-8: {error.reason} at byte {error.start}", line) from None
    for number, line_text in enumerate(text.split("\n"), 1):
        if not line_text.isprintable():
            for character in line_text:
                if _NO_YAML.match(character):
                    raise SourceError(f"the control character {character!r} is not allowed; remove it", number)
    return text


def _check_shape(text: str) -> None:
    """Bound the depth before any recursive code sees the text, and reject a second document."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise SourceError(f"nested deeper than {MAX_DEPTH} levels", _line(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise SourceError("a second YAML document begins here; a file must have only one", _line(event))


def _line(event: yaml.Event) -> int | None:
    return event.start_mark.line + 1 if event.start_mark is not None else None


def _explain(error: yaml.MarkedYAMLError, text: str, line: int | None) -> str:
    message = f"not valid YAML: {error.problem or error}"
    if error.context:
        message += f" ({error.context})"
    lines = text.split("\n")
    if line is not None and line <= len(lines):
        indent = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]
        if "\t" in indent or "character that cannot start any token" in str(error.problem):
            message += "; indent with spaces, not tabs, and quote text that begins with a special character"
    return message


class _Builder:
    """Turns nodes into plain data and notes the line of every key and list item."""

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {(): 1}
        self.duplicates: list[SourceError] = []
        self._count = 0
        self._scalars = SafeConstructor()

    def mapping(self, node: yaml.MappingNode, location: Location, depth: int) -> dict[str, object]:
        self._bound(node, location, depth)
        self._reject_tag(node, location)
        result: dict[str, object] = {}
        for source in _merged(node):
            result.update(self.mapping(source, location, depth + 1))
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self._key(key_node, location)
            line = key_node.start_mark.line + 1
            place = (*location, key)
            if key in seen:
                message = f"duplicate key; the first is on line {self.lines[place]}"
                self.duplicates.append(SourceError(message, line, place))
                continue
            seen.add(key)
            self.lines[place] = line
            result[key] = self._value(value_node, place, depth + 1)
        return result

    def _bound(self, node: yaml.Node, location: Location, depth: int) -> None:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > MAX_VALUES:
            raise SourceError(
                f"the file has more than {MAX_VALUES} values, counting each alias in full; use fewer aliases",
                line,
                location,
            )
        if depth > MAX_DEPTH:
            raise SourceError(f"nested deeper than {MAX_DEPTH} levels after expanding aliases", line, location)

    def _key(self, node: yaml.Node, location: Location) -> str:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise SourceError("a key must be text", line, location)
        key = self._scalar(node, location)
        if not isinstance(key, str):
            raise SourceError(f"the key {node.value!r} is not text; put it in quotes", line, location)
        return key

    def _value(self, node: yaml.Node, location: Location, depth: int) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, location, depth)
        self._bound(node, location, depth)
        if isinstance(node, yaml.SequenceNode):
            self._reject_tag(node, location)
            items: list[object] = []
            for index, item in enumerate(node.value):
                place = (*location, index)
                self.lines[place] = item.start_mark.line + 1
                items.append(self._value(item, place, depth + 1))
            return items
        return self._scalar(node, location)

    def _reject_tag(self, node: yaml.Node, location: Location) -> None:
        if node.tag not in (_MAPPING, _SEQUENCE):
            raise SourceError("YAML tags are not supported; remove the tag", node.start_mark.line + 1, location)

    def _scalar(self, node: yaml.Node, location: Location) -> Hashable:
        try:
            value: Hashable = self._scalars.construct_object(node)
        except yaml.YAMLError:
            raise SourceError(
                "YAML tags are not supported; remove the tag", node.start_mark.line + 1, location
            ) from None
        except ValueError:
            message = "not a valid number or date; put it in quotes if it is text"
            raise SourceError(message, node.start_mark.line + 1, location) from None
        return value


def _merged(node: yaml.MappingNode) -> list[yaml.MappingNode]:
    """Return the mappings that `<<` merges, in ascending order of precedence."""
    merged: list[yaml.MappingNode] = []
    for key_node, value_node in node.value:
        if key_node.tag != _MERGE:
            continue
        sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        if not all(isinstance(source, yaml.MappingNode) for source in sources):
            raise SourceError("`<<` must be a mapping or a list of mappings", key_node.start_mark.line + 1)
        merged = [*reversed(sources), *merged]
    return merged
