"""The rest of OpenAI's API: passed through to one provider, chosen by `model` or by `x-pointsman-provider`.

A JSON body is read whole: its `model` is replaced by the provider's own name for it. Any other body is passed on as it
arrives. Files, batches and stored responses belong to one account of one provider. Their calls are therefore stateful:
one key per provider, and no retry once bytes were sent. Reranking is not part of OpenAI's API, but many servers of its
dialect have it: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html. Paths that manage an account, or
hand out credentials to it (`/organization`, `/realtime`), are not passed on.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.operations import STATEFUL, Operation
from pointsman.wire.dialects.openai import UNLIMITED, is_response_creation
from pointsman.wire.generation import ACTED_ON, MAX_FALLBACKS, MAX_TOKENS, check_names, most_tokens
from pointsman.wire.json_object import read_object, read_typed, reject_variants, rejection
from pointsman.wire.multipart import FormReader, boundary_of
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.public_names import own_name
from pointsman.wire.state import touched
from pointsman.wire.tokens import MEDIA_TOKENS, in_audio_request, in_input, in_pictures, in_ranking, in_recording


class _Any(Struct, kw_only=True):
    model: Annotated[str, Meta(max_length=512)] | None = None
    stream: bool | None = None
    fallbacks: Annotated[list[str], Meta(max_length=MAX_FALLBACKS)] | None = None
    store: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=UNLIMITED, le=MAX_TOKENS)] | None = None
    n: Raw = Raw(b"null")  # of images; elsewhere it may mean anything
    previous_response_id: Raw = Raw(b"null")
    conversation: Raw = Raw(b"null")


_DECODER = msgspec.json.Decoder(_Any)
_COUNT = msgspec.json.Decoder(Annotated[float, Meta(ge=1, le=128)] | None)
_RECORDING_FIELDS = frozenset({"url", "file_url"})  # of a form: Groq's and Mistral's, in place of the file
_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "PUT", "PATCH"})


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a call that has a JSON body or none. Raises `Rejection`."""
    fields: dict[str, Raw] = {}
    typed = _Any()
    if body:
        fields = read_object(body)
        typed = read_typed(_DECODER, body, fields)
        reject_variants(fields, ACTED_ON)
        check_names(typed.model or "", typed.fallbacks)
        if typed.max_output_tokens == 0:
            raise rejection("the field 'max_output_tokens' must be 1 or more", "max_output_tokens")
        fields.pop("fallbacks", None)
    choices = _images(typed.n) if parsed.api.operation == "image" else 1
    max_tokens = most_tokens(typed.max_output_tokens) if parsed.api.operation == "responses" else None
    return Call(
        operation=parsed.api.operation,
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(typed.model or "", parsed.snapshot),
        fields=fields,
        size=len(body),
        stream=typed.stream or False,
        fallbacks=tuple([own_name(name, parsed.snapshot) for name in typed.fallbacks or ()]),
        choices=choices,
        answers=choices,
        max_tokens=max_tokens,
        stated_tokens=max_tokens,
        raw_body=None if fields else body,
        stateful=_is_stateful(parsed, typed),
        media=_media(parsed.api.operation, fields) if fields else NO_MEDIA,
        state=touched(parsed.head.method, parsed.head.path, fields, stores=typed.store is not False),
    )


def _media(operation: Operation, fields: Mapping[str, Raw]) -> Media:
    """Return the media that a JSON body holds or names beside text."""
    if operation == "responses":
        return in_input(fields.get("input"))
    if operation == "image":
        return in_pictures(fields)
    if operation == "audio":
        return in_audio_request(fields)
    return in_ranking(fields)


def _images(n: Raw) -> int:
    """Return the number of images requested, each of which is charged. Raises `Rejection`."""
    try:
        count = _COUNT.decode(bytes(n))
        if count is None or count.is_integer():
            return int(count or 1)
        raise rejection("the field 'n' must be a whole number from 1 to 128", "n")
    except msgspec.DecodeError:
        raise rejection("the field 'n' must be a whole number from 1 to 128", "n") from None


def _is_stateful(parsed: ParsedHead, typed: _Any) -> bool:
    operation = parsed.api.operation
    if operation != "responses":
        return operation in STATEFUL
    # A response is stored unless the client disables it. A request that refers to a stored one must reach its account.
    refers = any(bytes(raw) != b"null" for raw in (typed.previous_response_id, typed.conversation))
    return refers or not is_response_creation(parsed.head.method, parsed.head.path) or typed.store is not False


def form_reader(parsed: ParsedHead, length: int | None, most_held: int, *, finds_state: bool) -> FormReader | None:
    """Return the reader of a form with a body of `length`. At most `most_held` bytes may be held back. The result is
    `None` if the body is not a form, or is kept as it is. Raises `Rejection`."""
    boundary = boundary_of(parsed.head.content_type) if parsed.api.operation != "file" else None
    if boundary is None:
        return None
    # Each image of a form costs, and so does each second of a recording of unknown length.
    is_image = parsed.api.operation == "image"
    wanted = frozenset({"model", "n"} if is_image else {"model"})
    reads_on = is_image or length is None or length <= most_held
    optional = frozenset() if is_image else _RECORDING_FIELDS
    return FormReader(boundary, wanted, optional=optional, reads_on=reads_on, finds_state=finds_state)


def form_call(
    parsed: ParsedHead,
    size: int,
    values: Mapping[str, str] | None = None,
    files: int = 0,
    file_bytes: int = 0,
    named: Sequence[tuple[str, str]] = (),
) -> Call:
    """Build a call whose body is passed on as it arrives. `size` is its length as far as it is known. For a form,
    `values` are the fields that the gateway acts on, and `named` the fields with ids of stored objects. `files` counts
    the files seen, with so many bytes. Raises `Rejection`."""
    values = values or {}
    model = own_name(values.get("model", ""), parsed.snapshot)
    check_names(model, None)
    operation = parsed.api.operation
    media = NO_MEDIA
    if operation == "audio":
        media = in_recording(size, next((name for name in _RECORDING_FIELDS if name in values), ""))
    elif operation == "image":
        media = Media(files, files * MEDIA_TOKENS, file_bytes)
    choices = _images(Raw(values["n"].encode())) if "n" in values else 1
    return Call(
        operation=operation,
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=model,
        size=size,
        choices=choices,
        answers=choices,
        stateful=True,
        media=media,
        state=touched(parsed.head.method, parsed.head.path, {}, form=named),
    )


def _path(path: str, operation: Operation) -> ApiPath:
    dialect = "openai-responses" if operation == "responses" else "openai"
    return ApiPath(path, _METHODS, operation, "stream", is_prefix=True, parse=parse, dialect=dialect)


PATHS = (
    _path("/responses", "responses"),
    _path("/images", "image"),
    _path("/audio", "audio"),
    _path("/moderations", "moderation"),
    _path("/rerank", "rerank"),
    _path("/score", "rerank"),
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
