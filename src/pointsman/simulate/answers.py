"""Answers of an endpoint, before faults and framing are applied."""

import random
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from pointsman.simulate.settings import Settings

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"

T = TypeVar("T")

Dialect = Literal["openai", "responses", "anthropic", "gemini"]
"""The format of errors in a stream, and of the heads of answers."""


class Event(Struct):
    """One server-sent event as bytes. `tokens` counts the tokens it carries; only content events carry any. `is_end`
    marks the event without which a stream is not whole."""

    data: bytes
    tokens: int = 0
    is_content: bool = False
    is_end: bool = False


class Answer(Struct, kw_only=True):
    """An answer: `events` if it is streamed, else `body`. `tokens_*` cover the whole answer. If it `is_limited`, its
    headers report the limits of its key."""

    status: int = 200
    content_type: str = JSON
    body: bytes = b""
    events: list[Event] | None = None
    headers: list[tuple[str, str]] = []
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    tokens_out: int = 0
    fees_nano: int = 0
    dialect: Dialect = "openai"
    is_limited: bool = False


class Rejected(Exception):  # noqa: N818 -- an answer, not an error of the program
    """Raised by an endpoint that answers with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


class Request(Struct, kw_only=True):
    """A complete request. `raw_headers` are as sent; `headers` are by lower-case name, and the last one wins."""

    method: str
    target: str
    raw_headers: list[tuple[bytes, bytes]]
    headers: dict[str, str]
    body: bytes
    keep_alive: bool = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class RequestContext(Struct, kw_only=True):
    """The input of an endpoint. `fields` is the top level of a JSON body, and empty for other bodies. `rng` is seeded
    for this request. `created` is wall time in seconds. With `refuses` the model refuses. After `filter_at`
    tokens of text, a content filter ends the answer."""

    request: Request
    index: int
    key: str
    fields: dict[str, Raw]
    settings: Settings
    rng: random.Random
    created: int
    refuses: bool = False
    filter_at: int | None = None

    def new_id(self, prefix: str) -> str:
        return f"{prefix}{self.settings.name}{self.index:08d}"

    def decode(self, into: type[T], known: frozenset[str]) -> T:
        """Decode the body as `into`. Raise `Rejected` as a strict provider would: for a field not in `known`, a wrong
        type, a missing field, or an unknown model."""
        unknown = sorted(self.fields.keys() - known)
        if unknown:
            raise Rejected(
                error(400, f"Unrecognized request argument supplied: {unknown[0]}", code="unknown_parameter")
            )
        try:
            value = msgspec.json.decode(self.request.body, type=into)
        except msgspec.ValidationError as failure:
            raise Rejected(_invalid(str(failure))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Rejected(NOT_JSON) from None
        model = getattr(value, "model", None)
        if model is not None:
            self.require_model(model)
        return value

    def require_model(self, model: str) -> None:
        """Raise `Rejected` with 404 for an unknown model."""
        if model not in self.settings.models:
            raise Rejected(
                error(
                    404,
                    f"The model `{model}` does not exist or you do not have access to it.",
                    code="model_not_found",
                )
            )


def names(text: str) -> frozenset[str]:
    """Split a text at white space into a set of field names."""
    return frozenset(text.split())


def error(
    status: int,
    message: str,
    type_: str = "invalid_request_error",
    *,
    code: str | None = None,
    param: str | None = None,
) -> Answer:
    """Build an error in OpenAI's format."""
    body = {"error": {"message": message, "type": type_, "param": param, "code": code}}
    return Answer(status=status, body=msgspec.json.encode(body))


NOT_JSON = error(
    400,
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library"
    " correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
)


def json_answer(value: object, **tokens: int) -> Answer:
    """Build a complete JSON answer."""
    return Answer(body=msgspec.json.encode(value), **tokens)  # type: ignore[arg-type]  # ints go to int fields only


def page(context: RequestContext, records: Sequence[dict[str, Any]]) -> Answer:
    """Return the page of a list that the query parameters `limit` and `after` select."""
    query = parse_qs(context.request.target.partition("?")[2])
    limit, after = int(query.get("limit", ["20"])[0]), query.get("after", [""])[0]
    ids = [record["id"] for record in records]
    start = ids.index(after) + 1 if after in ids else 0
    found = list(records[start : start + limit])
    ends = {"first_id": found[0]["id"], "last_id": found[-1]["id"]} if found else {"first_id": None, "last_id": None}
    return json_answer({"object": "list", "data": found, **ends, "has_more": start + limit < len(records)})


class StoredObject(Struct):
    """An object that a provider stores, and the API key that owns it. `record` is its description in the API."""

    key: str
    kind: str
    record: dict[str, Any]
    data: bytes = b""


class ObjectStore:
    """The objects that a provider stores. As at real providers, a key finds only its own objects."""

    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}

    def clear(self) -> None:
        """Delete all objects."""
        self._objects.clear()

    def store(self, context: RequestContext, kind: str, record: dict[str, Any], data: bytes = b"") -> Answer:
        """Store an object. Return its description."""
        self._objects[record["id"]] = StoredObject(context.key, kind, record, data)
        return json_answer(record)

    def list_owned(self, context: RequestContext, kind: str) -> Answer:
        """List the objects of this kind that the key owns."""
        return page(
            context,
            [stored.record for stored in self._objects.values() if (stored.key, stored.kind) == (context.key, kind)],
        )

    def find(self, context: RequestContext, kind: str, name: str) -> StoredObject:
        """Return an object that the key owns. Raise `Rejected` if there is none."""
        stored = self._objects.get(name)
        if stored is None or (stored.key, stored.kind) != (context.key, kind):
            raise Rejected(error(404, f"No {kind} found with id '{name}'.", param="id"))
        return stored

    def delete(self, context: RequestContext, kind: str, name: str, type_: str) -> Answer:
        """Delete an object that the key owns. `type_` is the value of `object` in the answer."""
        self.find(context, kind, name)
        del self._objects[name]
        return json_answer({"id": name, "object": type_, "deleted": True})


def _invalid(message: str) -> Answer:
    """Translate a decoder's error message into an error of the API."""
    missing = re.search(r"missing required field `(.+?)`", message)
    if missing:
        name = missing[1]
        return error(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
    path = re.search(r"at `\$\.(.+?)`", message)
    param = path[1] if path else None
    return error(400, f"Invalid value for '{param}': {message}.", code="invalid_type", param=param)


def sse(value: object, name: str | None = None, tokens: int = 0, *, is_end: bool = False) -> Event:
    """Encode an event of JSON data, with a name if the API names events."""
    data = b"data: " + msgspec.json.encode(value) + b"\n\n"
    if name is not None:
        data = b"event: " + name.encode() + b"\n" + data
    return Event(data, tokens, is_content=tokens > 0, is_end=is_end)


DONE = Event(b"data: [DONE]\n\n", is_end=True)


def usage(tokens_in: int, tokens_cached: int, tokens_out: int, tokens_cache_write: int = 0) -> dict[str, Any]:
    """Build the usage object of chats and completions."""
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {
            "cached_tokens": tokens_cached,
            **({"cache_write_tokens": tokens_cache_write} if tokens_cache_write else {}),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
