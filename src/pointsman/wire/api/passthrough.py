"""The rest of OpenAI's API: passed through to one provider, chosen by `model` or by `x-pointsman-provider`.

A JSON body is read whole: its `model` is replaced by the provider's own name for it. Any other body is passed on as it
arrives. Files, batches and stored responses belong to one account of one provider. Their calls are therefore stateful:
one key per provider, and no retry once bytes were sent. Paths that manage an account, or hand out credentials to it
(`/organization`, `/realtime`), are not passed on.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.operations import STATEFUL, Operation
from pointsman.wire.api._passed import METHODS, Passed, passed_call, read_passed
from pointsman.wire.dialects.openai import UNLIMITED, is_response_creation
from pointsman.wire.generation import MAX_TOKENS, most_tokens
from pointsman.wire.json_object import rejection
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import in_input, in_ranking


class _Any(Passed, kw_only=True):
    store: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=UNLIMITED, le=MAX_TOKENS)] | None = None
    previous_response_id: Raw = Raw(b"null")
    conversation: Raw = Raw(b"null")


_DECODER = msgspec.json.Decoder(_Any)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a call that has a JSON body or none. Raises `Rejection`."""
    fields: dict[str, Raw] = {}
    typed = _Any()
    if body:
        fields, typed = read_passed(_DECODER, body)
        if typed.max_output_tokens == 0:
            raise rejection("the field 'max_output_tokens' must be 1 or more", "max_output_tokens")
    is_response = parsed.api.operation == "responses"
    media = in_input(fields.get("input")) if is_response else in_ranking(fields)
    call = passed_call(parsed, body, fields, typed, media=media, stores=typed.store is not False)
    max_tokens = most_tokens(typed.max_output_tokens) if is_response else None
    return replace(call, max_tokens=max_tokens, stated_tokens=max_tokens, stateful=_is_stateful(parsed, typed))


def _is_stateful(parsed: ParsedHead, typed: _Any) -> bool:
    operation = parsed.api.operation
    if operation != "responses":
        return operation in STATEFUL
    # A response is stored unless the client disables it. A request that refers to a stored one must reach its account.
    refers = any(bytes(raw) != b"null" for raw in (typed.previous_response_id, typed.conversation))
    return refers or not is_response_creation(parsed.head.method, parsed.head.path) or typed.store is not False


def _path(path: str, operation: Operation) -> ApiPath:
    dialect = "openai-responses" if operation == "responses" else "openai"
    return ApiPath(path, METHODS, operation, "stream", is_prefix=True, parse=parse, dialect=dialect)


PATHS = (
    _path("/responses", "responses"),
    _path("/files", "file"),
    _path("/uploads", "file"),
    _path("/batches", "batch"),
    _path("/conversations", "responses"),
    _path("/assistants", "other"),
    _path("/threads", "other"),
    _path("/vector_stores", "other"),
    _path("/fine_tuning", "other"),
    _path("/videos", "other"),
    _path("/containers", "other"),
    _path("/evals", "other"),
)
