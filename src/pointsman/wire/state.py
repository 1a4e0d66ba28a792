"""The ids of a provider's state that a request names or an answer reports. This module is a table and its look-ups.

Enumerated from OpenAI's API description, https://github.com/openai/openai-openapi (2.3.0, November 2026). Objects below
an id in a path (messages, runs, the files of a container) are reached by that id alone. Its owner therefore owns all of
them. In bodies, ids are found by the names of their fields at any depth: a new place for a `file_id` is covered at
once. Places that hold a client's own data, such as `metadata`, are skipped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.failures import Rejection
from pointsman.domain.state import Named, Touched
from pointsman.wire.bounds import SMALL_BYTES, count_names
from pointsman.wire.json_object import UNREADABLE, read_or, rejection
from pointsman.wire.short_texts import shorten

MAX_ELEMENTS = 250_000  # of a field that is searched, counted by commas
MAX_ENTRIES = 150_000  # of its objects and lists, together
MAX_NAMED = 10_000  # ids in one request
MAX_ANSWER_PARTS = 20_000  # objects and lists of an answer that is read whole
MAX_ID_CHARS = 512
ID = re.compile(rf"[!-~]{{1,{MAX_ID_CHARS}}}")


class Collection(Struct, frozen=True):
    """A path whose elements have ids. `words` may replace an id. `nested` are collections below an element whose own
    ids are of a kind that other paths name too."""

    kind: str
    words: frozenset[str] = frozenset()
    nested: Mapping[str, str] = {}


COLLECTIONS: dict[str, Collection] = {
    "assistants": Collection("assistant"),
    "audio/voice_consents": Collection("voice consent"),
    "audio/voices": Collection("voice"),
    "batches": Collection("batch"),
    "containers": Collection("container"),
    "conversations": Collection("conversation"),
    "evals": Collection("eval"),
    "files": Collection("file"),
    "fine_tuning/checkpoints": Collection("checkpoint"),
    "fine_tuning/jobs": Collection("fine-tuning job"),
    "responses": Collection("response", frozenset({"input_tokens", "compact"})),
    "threads": Collection("thread", frozenset({"runs"})),
    "uploads": Collection("upload"),
    "vector_stores": Collection("vector store", nested={"files": "file"}),
    "videos": Collection("video", frozenset({"edits", "extensions"})),
    "videos/characters": Collection("character"),
}

# Words below a collection that make an element of it, or of another one; all other words make none.
_MAKING = {"videos/edits": "video", "videos/extensions": "video", "threads/runs": "run"}
_MAKING_BELOW = {"remix": "video"}  # of an element: another one

# Fields that hold an id, or a list of them.
FIELDS: dict[str, str] = {
    "assistant_id": "assistant",
    "batch_id": "batch",
    "character_id": "character",
    "consent": "voice consent",
    "container": "container",
    "container_id": "container",
    "conversation": "conversation",
    "conversation_id": "conversation",
    "error_file_id": "file",
    "eval_id": "eval",
    "file_id": "file",
    "file_ids": "file",
    "input_file_id": "file",
    "output_file_id": "file",
    "previous_response_id": "response",
    "response_id": "response",
    "result_files": "file",
    "thread_id": "thread",
    "training_file": "file",
    "upload_id": "upload",
    "validation_file": "file",
    "vector_store_id": "vector store",
    "vector_store_ids": "vector store",
    "video_id": "video",
}
# Fields that hold an object with an `id`, or a list of such objects.
OBJECTS: dict[str, str] = {
    "audio": "audio",
    "characters": "character",
    "conversation": "conversation",
    "source": "file",
    "video": "video",
    "voice": "voice",
}
# Items of a response's input that refer to one stored by the provider, unless one of these fields holds the contents.
ITEMS: dict[str, tuple[str, ...]] = {
    "item_reference": (),
    "reasoning": ("encrypted_content", "content"),
    "image_generation_call": ("result",),
}
_ITEM = "item"
# Fields of answers that hold ids of objects made as a side effect. The other fields repeat ids from the request, and
# naming an id makes nobody its owner.
_ANSWER_FIELDS = {
    name: FIELDS[name]
    for name in ("container_id", "error_file_id", "file_id", "output_file_id", "result_files", "thread_id")
}
_ANSWER_OBJECTS = {"audio": "audio"}
_LISTS_OF_ITEMS = frozenset({"input", "items"})

# Kinds by the value of `object` in an answer.
TYPES: dict[str, str] = {
    "assistant": "assistant",
    "audio.voice": "voice",
    "audio.voice_consent": "voice consent",
    "batch": "batch",
    "container": "container",
    "conversation": "conversation",
    "eval": "eval",
    "file": "file",
    "fine_tuning.job": "fine-tuning job",
    "response": "response",
    "thread": "thread",
    "upload": "upload",
    "vector_store": "vector store",
    "video": "video",
}

# Places that hold a client's own data, or a schema: fields called an id there name nothing.
DATA = frozenset(
    {"metadata", "parameters", "schema", "json_schema", "attributes", "item", "sample", "item_schema", "input_schema"}
    | {"client_metadata"}  # Codex names its own thread there
    | {"datasource_item", "properties", "$defs", "filters", "logprobs"}
)
_IN_REQUESTS = DATA | {"annotations"}  # a request repeats those of an earlier answer
# Places of answers that repeat the request or somebody's prompt, or refer to objects that existed before.
_IN_ANSWERS = DATA | {"tools", "tool_resources", "attachments", "results", "instructions", "prompt", "input"}
_REFERENCE = "file_citation"  # an annotation with the id of a file that was searched

_NESTING = (b"[", b"{")
_CHAT_FIELDS = frozenset(FIELDS) | frozenset(OBJECTS)
_ESCAPES = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")  # of letters, which no honest client writes like that
_PATH_IN_FORM = re.compile(r"[\[\].]+")
_SEGMENTS = re.compile(r"[^/]+")


def touched(
    method: str,
    path: str,
    fields: Mapping[str, Raw],
    *,
    stores: bool = True,
    form: Iterable[tuple[str, str]] = (),
) -> Touched | None:
    """Return the state that a call touches, or `None`. `path` includes the query. `stores` says whether the provider is
    asked to store the result. `form` has the fields of a form that name something. Raises `Rejection`."""
    plain, _, query = path.partition("?")
    names = named_in(fields) if fields else [Named(_kind_in_form(name), one, name) for name, one in form]
    name, rest = _split(plain)
    collection = COLLECTIONS.get(name)
    if collection is None:
        return Touched(tuple(names), learns=False) if names else None
    creates, lists, deletes = None, None, None
    if not rest:
        if method in ("GET", "HEAD"):
            lists = collection.kind
            names += _cursors(query, collection.kind)
        elif method == "POST":
            creates = collection.kind
    elif rest[0] in collection.words:
        creates = _MAKING.get(f"{name}/{rest[0]}") if method == "POST" else None
    else:
        names.insert(0, Named(collection.kind, rest[0]))
        if len(rest) > 2 and rest[1] in collection.nested:
            names.append(Named(collection.nested[rest[1]], rest[2]))
        if method == "DELETE" and len(rest) == 1:
            deletes = rest[0]
        if method == "POST" and rest[-1] in _MAKING_BELOW:
            creates = _MAKING_BELOW[rest[-1]]
    has_items = name in ("responses", "conversations")
    if creates is not None and not stores and name == "responses":
        creates, has_items = None, False
        # The provider creates a container anyway if code is to be run.
        learns = b"code_interpreter" in bytes(fields.get("tools", b""))
        return Touched(tuple(names), learns=learns) if names or learns else None
    reads_all = _reads_all(fields) if name == "evals" and fields else None
    learns = not (rest and rest[-1] == "content") and not lists and method != "DELETE"
    if name == "conversations" or rest[-1:] == ["input_items"]:
        learns = False  # clients wrote these themselves, so only the ids of the answer's items are trusted
    if not names and creates is None and lists is None:
        return None
    return Touched(tuple(names), creates, lists, deletes, learns=learns, has_items=has_items, reads_all=reads_all)


class _StoredSource(Struct):
    type: str | None = None


class _DataSource(Struct):
    type: str | None = None
    source: _StoredSource | None = None


_DATA_SOURCE = msgspec.json.Decoder(_DataSource | None)
_ALL_OF = frozenset({"stored_completions", "responses", "logs"})


def _reads_all(fields: Mapping[str, Raw]) -> str | None:
    """Return the field by which an eval reads everything an account has stored, for any owner. Raises `Rejection`."""
    for name in ("data_source", "data_source_config"):
        try:
            found = _DATA_SOURCE.decode(fields.get(name, b"null"))
        except UNREADABLE:
            raise rejection(f"the field {name!r} cannot be read", name) from None
        if found is None:
            continue
        kind = found.type if name == "data_source_config" else found.source.type if found.source is not None else None
        if kind in _ALL_OF:
            return name
    return None


def touched_by_chat(fields: Mapping[str, Raw]) -> Touched | None:
    """Return the same for a chat completion, which makes only recordings. Completions that are stored by `store` cannot
    be requested here. Raises `Rejection`."""
    names = tuple(named_in(fields))
    speaks = b'"audio"' in bytes(fields.get("modalities", b""))
    return Touched(names, learns=speaks) if names or speaks else None


def may_name_by_field(fields: Mapping[str, Raw]) -> bool:
    """Return whether a field of a chat completion itself may hold an id. Among OpenAI's fields only `audio` does."""
    return not _CHAT_FIELDS.isdisjoint(fields)


def may_name(content: bytes) -> bool:
    """Return whether the parts of a message may name a file. The search is for the end of a name, as it is written
    outside texts."""
    if content.find(b'_id"') >= 0 or content.find(b'_ids"') >= 0:
        return True
    if content.find(b"\\u00") >= 0 and any(content.find(escape) >= 0 for escape in _ESCAPES):
        return True
    return content.lower().find(b'_id"') >= 0


def _split(path: str) -> tuple[str, list[str]]:
    """Return the collection of a path, and the segments below it. Some servers take several slashes for one."""
    segments = _SEGMENTS.findall(path)
    for count in (2, 1):
        name = "/".join(segments[:count])
        if name in COLLECTIONS:
            return name, segments[count:]
    return "", segments


def _cursors(query: str, kind: str) -> list[Named]:
    """Return the ids by which the next page of a list is requested."""
    pairs = parse_qsl(query)
    return [Named(kind, value, name) for name, value in pairs if name in ("after", "before")]


def named_in(fields: Mapping[str, Raw]) -> list[Named]:
    """Return the ids that a body names, without repetition. Raises `Rejection` for a body that is too large to search.
    Raises it also if one object has a name twice, since servers differ in the value they take."""
    found: dict[str, Named] = {}
    for name, raw in fields.items():
        folded = name.casefold()
        if folded in DATA:
            continue
        view = memoryview(raw)
        if view[:1] not in _NESTING and folded not in FIELDS:
            continue
        text = bytes(view)
        if len(text) > SMALL_BYTES:
            text = shorten(text, MAX_ID_CHARS)
        if text.count(b",") > MAX_ELEMENTS:
            raise _too_large(name)
        try:
            value = msgspec.json.decode(text)
        except UNREADABLE:
            raise rejection(f"the field {name!r} cannot be read", name) from None
        try:
            for kind, one in _ids({name: value}, _IN_REQUESTS, FIELDS, OBJECTS):
                found.setdefault(one, Named(kind, one, name))
            if count_names(text) != members_in(value):
                message = f"the field {name!r} holds an object with a duplicate name; send each name once"
                raise rejection(message, name)
        except _TooLarge:
            raise _too_large(name) from None
    if len(found) > MAX_NAMED:
        message = f"the body names {len(found)} ids of stored objects; send at most {MAX_NAMED}"
        raise rejection(message, next(reversed(found.values())).param)
    return list(found.values())


def members_in(value: Any) -> int:
    """Return how many members the objects in a value have."""
    count, stack = 0, [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            count += len(one)
            stack += [inner for inner in one.values() if isinstance(inner, dict | list)]
        elif isinstance(one, list):
            stack += [inner for inner in one if isinstance(inner, dict | list)]
    return count


class _TooLarge(Exception):  # noqa: N818 -- reported to the client in other words
    """There are more than `MAX_ENTRIES`."""


def _too_large(name: str) -> Rejection:
    return rejection(
        f"the field {name!r} has too many elements to be searched for ids of stored objects; send fewer", name
    )


def reported_in(
    body: bytes, *, has_items: bool, refers: bool = True, makes_stores: bool = False
) -> list[tuple[str, str]]:
    """Return the ids that an answer reports, with their kinds. These include its own id. `refers` adds the ids
    of objects made as a side effect, and `makes_stores` the vector stores among these. `has_items` adds the ids of
    items, to which later requests may refer."""
    try:
        # If an answer holds more than any honest one, only its own id is read: reading all of it would take long.
        value = msgspec.json.decode(body) if not _is_dense(body) else msgspec.to_builtins(_ANSWER.decode(body))
    except UNREADABLE:
        return []
    if not isinstance(value, dict):
        return []
    return reported_by(value, has_items=has_items, refers=refers, makes_stores=makes_stores)


def _is_dense(body: bytes) -> bool:
    if len(body) <= SMALL_BYTES:
        return False
    return body.count(b"{") + body.count(b"[") > MAX_ANSWER_PARTS or body.count(b",") > 10 * MAX_ANSWER_PARTS


def reported_by(
    value: Mapping[str, Any], *, has_items: bool, refers: bool = True, makes_stores: bool = False
) -> list[tuple[str, str]]:
    """Return the same for a decoded answer."""
    found: dict[tuple[str, str], None] = {}
    if refers:
        with suppress(_TooLarge):
            for one in _ids(value, _IN_ANSWERS, _ANSWER_FIELDS, _ANSWER_OBJECTS):
                found[one] = None
    if makes_stores:
        found |= dict.fromkeys(_new_vector_stores(value))
    top = value.get("id")
    if isinstance(top, str):
        found[TYPES.get(str(value.get("object")), ""), top] = None
    if has_items:
        for name in ("output", "data"):
            items = value.get(name)
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("id"), str):
                    found[_ITEM, item["id"]] = None
    return [(kind, name) for kind, name in found if kind and ID.fullmatch(name)]


def _new_vector_stores(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the vector stores of a new assistant or thread, which may have been made with it."""
    tools = value.get("tool_resources")
    search = tools.get("file_search") if isinstance(tools, dict) else None
    names = search.get("vector_store_ids") if isinstance(search, dict) else None
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str):
            yield "vector store", name


def id_of(body: bytes) -> str | None:
    """Return the id of the object that is the answer."""
    found = read_or(_ANSWER, body, _Identified()).id
    return found if found is not None and ID.fullmatch(found) else None


class _Identified(Struct):
    id: str | None = None
    object: str | None = None


_ANSWER = msgspec.json.Decoder(_Identified)


def _ids(
    value: Mapping[str, Any], skipped: frozenset[str], fields: Mapping[str, str], objects: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield kinds and ids in a value, by the names of fields. There is no recursion, since clients choose the depth of
    bodies."""
    stack: list[tuple[str, Any]] = [("", value)]
    count = 0
    while stack:
        place, found = stack.pop()
        count += 1 + len(found)
        if count > MAX_ENTRIES:
            raise _TooLarge
        if isinstance(found, list):
            stack += [(place, one) for one in reversed(found) if isinstance(one, dict | list)]
            if place in fields:
                yield from ((fields[place], one) for one in found if isinstance(one, str))
            continue
        is_reference = fields is _ANSWER_FIELDS and found.get("type") == _REFERENCE
        for name, inner in found.items():
            folded = name if name.islower() and name.isascii() else name.casefold()
            if isinstance(inner, str):
                kind = fields.get(folded)
                if folded == "id":
                    kind = _kind(place, found, fields, objects)
                if kind is not None and inner and not (is_reference and kind == "file"):
                    yield kind, inner
            elif isinstance(inner, dict | list) and folded not in skipped:
                stack.append((folded, inner))


def _kind(place: str, found: dict[str, Any], fields: Mapping[str, str], objects: Mapping[str, str]) -> str | None:
    """Return the kind of an object with an `id`, if the id names something."""
    if place in objects or place in fields:
        return objects.get(place) or fields[place]
    type_ = found.get("type")
    if isinstance(type_, str) and type_ in ITEMS:
        return _ITEM if not any(found.get(name) for name in ITEMS[type_]) else None
    if type_ is None and place in _LISTS_OF_ITEMS and found.keys() <= {"id", "type"}:
        return _ITEM
    object_ = found.get("object")
    return TYPES.get(object_) if isinstance(object_, str) else None


def names_state(field: str) -> bool:
    """Return whether a field of a form, such as `file_id` or `video[id]`, holds an id."""
    parts = [part for part in _PATH_IN_FORM.split(field.casefold()) if part]
    return not FIELDS.keys().isdisjoint(parts) or (parts[-1:] == ["id"] and not OBJECTS.keys().isdisjoint(parts))


def _kind_in_form(field: str) -> str:
    """Return the kind of the id in a field of a form."""
    parts = [part for part in _PATH_IN_FORM.split(field.casefold()) if part]
    known = (FIELDS.get(part) or OBJECTS.get(part) for part in reversed(parts))
    return next(filter(None, known), "thing")


def is_for_no_model(path: str) -> bool:
    """Return whether a form sent to a path has no field for a model: it is about an object that is or will be
    stored."""
    name, rest = _split(path.partition("?")[0])
    return name in COLLECTIONS and (name != "videos" or bool(rest))
