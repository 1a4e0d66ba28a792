"""Images, speech and transcriptions: base64, binary and multipart bodies."""

from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated

from msgspec import Meta, Struct

from pointsman.simulate.answers import Answer, Rejected, RequestContext, error, json_answer, names
from pointsman.simulate.text import count_tokens

_IMAGE_FIELDS = names(
    """
    background model moderation n output_compression output_format partial_images prompt quality response_format
    size stream style user
    """
)
_SPEECH_FIELDS = names("input instructions model response_format speed stream_format voice")

# A PNG of one transparent pixel.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
_IMAGE_TOKENS = 272
_SPEECH_BYTES_PER_CHARACTER = 256
_AUDIO_BYTES_PER_TOKEN = 1_600  # 128 kbit/s, ten tokens a second


class ImageRequest(Struct):
    prompt: str
    model: str = "gpt-image-1"
    n: Annotated[int, Meta(ge=1, le=10)] | None = None


class SpeechRequest(Struct):
    model: str
    input: Annotated[str, Meta(max_length=4096)]
    voice: str


def images(context: RequestContext) -> Answer:
    """Return `n` images of one pixel."""
    request = context.decode(ImageRequest, _IMAGE_FIELDS)
    tokens_in, count = count_tokens(request.prompt), request.n or 1
    tokens_out = count * _IMAGE_TOKENS
    return json_answer(
        {
            "created": context.created,
            "data": [{"b64_json": _PIXEL}] * count,
            "usage": {
                "input_tokens": tokens_in,
                "input_tokens_details": {"text_tokens": tokens_in, "image_tokens": 0},
                "output_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        },
        tokens_in=tokens_in,
        tokens_out=tokens_out,
    )


def speech(context: RequestContext) -> Answer:
    """Return random bytes, a fixed number per character of the input. A long answer contains every byte value."""
    request = context.decode(SpeechRequest, _SPEECH_FIELDS)
    audio = context.rng.randbytes(len(request.input) * _SPEECH_BYTES_PER_CHARACTER)
    return Answer(content_type="audio/mpeg", body=audio, tokens_in=count_tokens(request.input))


def transcriptions(context: RequestContext) -> Answer:
    """Return the number of audio bytes received. Whisper is not billed by tokens."""
    form = read_form(context)
    model = form.text("model")
    context.require_model(model)
    size = len(form.file("file").data)
    text = f"{size} bytes of audio."
    if model.startswith("whisper"):
        return json_answer({"text": text})
    tokens_in, tokens_out = -(-size // _AUDIO_BYTES_PER_TOKEN), count_tokens(text)
    usage = {
        "type": "tokens",
        "input_tokens": tokens_in,
        "input_token_details": {"text_tokens": 0, "audio_tokens": tokens_in},
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    return json_answer({"text": text, "usage": usage}, tokens_in=tokens_in, tokens_out=tokens_out)


class Part(Struct):
    """One field of a form."""

    data: bytes
    filename: str | None


class Form(Struct):
    """A multipart form by field name. Its methods raise `Rejected` for a missing field."""

    parts: dict[str, Part]

    def text(self, name: str) -> str:
        return self.file(name).data.decode("utf-8", "replace")

    def file(self, name: str) -> Part:
        if name not in self.parts:
            message = f"Missing required parameter: '{name}'."
            raise Rejected(error(400, message, code="missing_required_parameter", param=name))
        return self.parts[name]


def read_form(context: RequestContext) -> Form:
    """Parse a multipart body. Raise `Rejected` for anything else."""
    content_type = context.request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise Rejected(error(400, "The request body must be multipart/form-data."))
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + context.request.body)
    parts = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            parts[name] = Part(payload, part.get_filename())
    return Form(parts)
