"""Calls whose body is a form or a file: images with their sources, recordings, and files to be stored.

https://platform.openai.com/docs/api-reference/images/createEdit, …/audio/createTranscription, …/files/create. A form
is read as far as the gateway acts on it. If all of it arrives before the decision, the call can be repeated at another
provider. Any other body is passed on as it arrives, so it belongs to one attempt.
"""

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.failures import Rejection
from pointsman.domain.units import Units
from pointsman.wire.batch_form import BatchFormReader
from pointsman.wire.generation import check_names
from pointsman.wire.multipart import NO_FORM, FormReader, ReadForm, boundary_of
from pointsman.wire.paths import ParsedHead
from pointsman.wire.public_names import own_name
from pointsman.wire.state import touched
from pointsman.wire.tokens import MEDIA_TOKENS, in_recording
from pointsman.wire.units import COUNTS, count_images, image_units, recording_units
from pointsman.wire.ways_out import is_remote_text

_RECORDING_FIELDS = frozenset({"url", "file_url"})  # Groq's and Mistral's, in place of the file
_STREAM = frozenset({"stream"})
_OF_IMAGES = frozenset({"quality", "size"})
_YES = frozenset({"true", "1"})
_REPEATABLE = frozenset({"image", "audio"})  # other forms are stored by one account


def form_reader(parsed: ParsedHead, length: int | None, most_held: int, *, finds_state: bool) -> FormReader | None:
    """Return the reader of a form with a body of `length`. At most `most_held` bytes may be held back. The result is
    `None` if the body is not a form, or is kept as it is. Raises `Rejection`."""
    operation = parsed.api.operation
    boundary = boundary_of(parsed.head.content_type) if operation != "file" else None
    if boundary is None:
        return None
    # Each image of a form costs, and so does each second of a recording of unknown length.
    is_image = operation == "image"
    return FormReader(
        boundary,
        frozenset({"model", "n"}) if is_image else frozenset({"model"}),
        optional=frozenset(COUNTS) if is_image else _RECORDING_FIELDS,
        late=_STREAM | _OF_IMAGES if is_image else _STREAM if operation == "audio" else frozenset(),
        reads_on=is_image or length is None or length <= most_held,
        finds_state=finds_state,
        is_remote=is_remote_text,
    )


def file_form_reader(parsed: ParsedHead, *, finds_state: bool) -> BatchFormReader | None:
    """Return the reader of a form that uploads a file, which may be for a batch. The result is `None` for any other
    body."""
    if parsed.head.method != "POST" or parsed.head.path.partition("?")[0].rstrip("/") != "/files":
        return None
    try:
        boundary = boundary_of(parsed.head.content_type)
    except Rejection:
        return None
    return BatchFormReader(boundary, finds_state=finds_state) if boundary is not None else None


def file_call(parsed: ParsedHead, size: int, model: str = "") -> Call:
    """Build the call of a form that uploads a file. `model` is that of the first line of a batch. Raises
    `Rejection`."""
    check_names(model, None)
    return replace(form_call(parsed, size), model=own_name(model, parsed.snapshot))


def form_call(parsed: ParsedHead, size: int, form: ReadForm = NO_FORM, *, is_sized: bool = True) -> Call:
    """Return a call whose body is passed on as it arrives. `size` is its length as far as it is known, and all of it if
    `is_sized`. `form` is what was read of a form before the decision. Raises `Rejection`."""
    values = form.values
    model = own_name(values.get("model", ""), parsed.snapshot)
    check_names(model, None)
    operation, answers = parsed.api.operation, 1
    media, units = NO_MEDIA, None
    if operation == "audio":
        elsewhere = next((name for name in values if name in _RECORDING_FIELDS), next(iter(form.remote), ""))
        media = in_recording(size, elsewhere)
        units = _recording(size, form) if is_sized and not elsewhere else None
    elif operation == "image":
        count = form.files + len(form.remote)
        media = Media(count, count * MEDIA_TOKENS, form.file_bytes)
        answers = count_images({name: Raw(values[name].encode()) for name in COUNTS if name in values})
        units = image_units(answers, values.get("quality", ""), values.get("size", ""))
    return Call(
        operation=operation,
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=model,
        size=size,
        stream=values.get("stream", "").lower() in _YES,
        choices=answers,
        answers=answers,
        stateful=True,
        media=media,
        state=touched(parsed.head.method, parsed.head.path, {}, form=form.named),
        units=units,
        remote=form.remote,
    )


def whole_call(call: Call, body: bytes, model_at: tuple[int, int] | None) -> Call | None:
    """Return the call of a form whose whole body is known, or `None` if one account has to store something of it.
    `model_at` is the place of its model. The call can be repeated at another provider."""
    if call.operation not in _REPEATABLE:
        return None
    return replace(call, raw_body=body, model_at=model_at or (0, 0), stateful=False)


def _recording(size: int, form: ReadForm) -> Units:
    if form.files > 1:
        return recording_units(size, b"", is_whole=False)
    is_known = form.is_whole and form.files == 1
    return recording_units(form.file_bytes if is_known else size, form.file_head, is_whole=is_known)
