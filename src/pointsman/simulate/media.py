"""Images, speech and transcriptions: base64, binary and multipart bodies."""

import wave
from email.parser import BytesParser
from email.policy import HTTP
from io import BytesIO
from math import ceil
from typing import Annotated

from msgspec import Meta, Struct

from pointsman.simulate.answers import Answer, Rejected, RequestContext, error, json_answer, names
from pointsman.simulate.settings import UnitPrices
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


_QUALITIES, _SIZES = ("low", "medium", "high"), ("1024x1024", "1024x1536", "1536x1024")
_USUAL_BYTES_PER_S = 16_000  # of a recording whose header says nothing


class ImageRequest(Struct):
    prompt: str
    model: str = "gpt-image-1"
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    quality: str | None = None
    size: str | None = None


class SpeechRequest(Struct):
    model: str
    input: Annotated[str, Meta(max_length=4096)]
    voice: str


def images(context: RequestContext) -> Answer:
    """Return `n` images of one pixel."""
    return _draw(context, context.decode(ImageRequest, _IMAGE_FIELDS))


def edited_images(context: RequestContext) -> Answer:
    """Return images of one pixel in place of those of a form, or of their addresses in JSON."""
    if context.fields:
        return _draw(context, context.decode(ImageRequest, _IMAGE_FIELDS | {"images", "mask", "input_fidelity"}))
    form = read_form(context)
    model = form.text("model")
    context.require_model(model)
    form.file("image" if "image" in form.parts else "image[]")
    prompt, count = form.value("prompt") or "", form.value("n")
    request = ImageRequest(prompt, model, int(count) if count else None, form.value("quality"), form.value("size"))
    return _draw(context, request)


def _draw(context: RequestContext, request: ImageRequest) -> Answer:
    """Draw the images. A model without a price per image is charged by tokens, which it reports."""
    count = max((request.n or 1) - context.settings.fewer_images, 1)
    quality = request.quality if request.quality not in (None, "auto") else context.rng.choice(_QUALITIES)
    size = request.size if request.size not in (None, "auto") else context.rng.choice(_SIZES)
    drawn = {
        "created": context.created,
        "data": [{"b64_json": _PIXEL}] * count,
        "quality": quality,
        "size": size,
    }
    unit_prices = context.settings.unit_prices.get(request.model)
    if unit_prices is not None and unit_prices.image:
        return json_answer(drawn, fees_nano=count * unit_prices.image[f"{quality} {size}"])
    tokens_in, tokens_out = count_tokens(request.prompt), count * _IMAGE_TOKENS
    usage = {
        "input_tokens": tokens_in,
        "input_tokens_details": {"text_tokens": tokens_in, "image_tokens": 0},
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    return json_answer({**drawn, "usage": usage}, tokens_in=tokens_in, tokens_out=tokens_out)


def speech(context: RequestContext) -> Answer:
    """Return random bytes, a fixed number per character of the input. A long answer contains every byte value."""
    request = context.decode(SpeechRequest, _SPEECH_FIELDS)
    audio = context.rng.randbytes(len(request.input) * _SPEECH_BYTES_PER_CHARACTER)
    unit_prices = context.settings.unit_prices.get(request.model)
    if unit_prices is not None and unit_prices.character:
        return Answer(content_type="audio/mpeg", body=audio, fees_nano=len(request.input) * unit_prices.character)
    return Answer(content_type="audio/mpeg", body=audio, tokens_in=count_tokens(request.input))


def transcriptions(context: RequestContext) -> Answer:
    """Return the number of audio bytes received. Whisper is billed by the second, other models by tokens."""
    form = read_form(context)
    model = form.text("model")
    context.require_model(model)
    data = form.file("file").data
    text = f"{len(data)} bytes of audio."
    if model.startswith("whisper"):
        return _by_seconds(context, model, form.value("response_format"), text, _seconds_of(data))
    tokens_in, tokens_out = -(-len(data) // _AUDIO_BYTES_PER_TOKEN), count_tokens(text)
    usage = {
        "type": "tokens",
        "input_tokens": tokens_in,
        "input_token_details": {"text_tokens": 0, "audio_tokens": tokens_in},
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    return json_answer({"text": text, "usage": usage}, tokens_in=tokens_in, tokens_out=tokens_out)


def _by_seconds(context: RequestContext, model: str, format_: str | None, text: str, seconds: float) -> Answer:
    """Build a transcription that is charged by the begun second. Its text alone reports no duration."""
    begun = ceil(seconds)
    prices = context.settings.unit_prices.get(model, UnitPrices())
    fees_nano = max(begun, prices.least_seconds) * prices.second
    if format_ in ("text", "srt", "vtt"):
        return Answer(content_type="text/plain; charset=utf-8", body=text.encode() + b"\n", fees_nano=fees_nano)
    usage = {"type": "duration", "seconds": begun}
    detailed = {"task": "transcribe", "language": "english", "duration": seconds, "segments": []}
    return json_answer(
        {**(detailed if format_ == "verbose_json" else {}), "text": text, "usage": usage}, fees_nano=fees_nano
    )


def _seconds_of(data: bytes) -> float:
    """Return the duration of a WAV file, and a guess for any other."""
    try:
        with wave.open(BytesIO(data)) as file:
            samples = len(file.readframes(file.getnframes())) / (file.getsampwidth() * file.getnchannels())
            return float(samples / file.getframerate())
    except (wave.Error, EOFError):
        return len(data) / _USUAL_BYTES_PER_S


class Part(Struct):
    """One field of a form."""

    data: bytes
    filename: str | None


class Form(Struct):
    """A multipart form by field name. Its methods raise `Rejected` for a missing field."""

    parts: dict[str, Part]

    def text(self, name: str) -> str:
        return self.file(name).data.decode("utf-8", "replace")

    def value(self, name: str) -> str | None:
        """Return a field that may be absent."""
        return self.text(name) if name in self.parts else None

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
