"""Units that providers charge for beside tokens, as requests ask for them and answers report them.

| unit | in the request | in the answer |
|---|---|---|
| image | `n`, `quality`, `size` | the items of `data`, `quality`, `size` |
| second of a recording | the header of a WAV file, else its size | `usage.seconds`, `duration` |
| character to be spoken | `input` | none |
| page of a document | unknown | `usage_info.pages_processed` |
| search | `documents`, by their number and length | `meta.billed_units.search_units`, `usage.search_units` |

https://platform.openai.com/docs/api-reference/images/object, …/audio/json-object, …/audio/verbose-json-object,
https://docs.cohere.com/reference/rerank, https://docs.mistral.ai/api/endpoint/ocr,
https://openrouter.ai/docs/api/api-reference/rerank/create-rerank
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.units import Units
from pointsman.wire.json_object import UNREADABLE, is_empty, read_or, rejection
from pointsman.wire.tokens import BYTES_PER_TOKEN, MP3_BYTES_PER_S

MAX_IMAGES = 128
COUNTS = ("n", "batch_size", "num_images")  # the names for the number of images
MAX_SECONDS = 10_000_000
USUAL_BYTES_PER_S = 16_000  # of a recording: 128 kbit/s

# A document with its query is ranked in parts of 500 tokens, each of which counts as a document. A long query takes
# room in each part. https://cohere.com/pricing, https://docs.cohere.com/docs/reranking-best-practices
DOCUMENTS_OF_A_SEARCH = 100
_PART_TOKENS, _LEAST_PART_TOKENS = 500, 250

_COUNT = msgspec.json.Decoder(Annotated[float, Meta(ge=1, le=MAX_IMAGES)] | None)
_ANY = frozenset({"", "auto"})


def count_images(values: Mapping[str, Raw]) -> int:
    """Return the number of images requested, by any of its names. Raises `Rejection`."""
    return max([_whole(raw, name) for name, raw in values.items()], default=1)


def _whole(raw: Raw, name: str) -> int:
    count = read_or(_COUNT, raw, 0.5)
    if count is not None and not count.is_integer():
        raise rejection(f"the field {name!r} must be a whole number from 1 to {MAX_IMAGES}", name)
    return int(count or 1)


def image_units(count: int, quality: str, size: str) -> Units:
    """Return the units of so many images. A quality or size that the provider chooses is unknown."""
    return Units("image", count * 1000, None, "" if quality in _ANY else quality, "" if size in _ANY else size)


def speech_units(text: str) -> Units:
    """Return the units of a text to be spoken: its characters."""
    return Units("character", len(text) * 1000)


def recording_units(size: int, file_head: bytes, *, is_whole: bool) -> Units:
    """Return the seconds of a recording of at most `size` bytes, rounded up, as providers charge them. Those of a WAV
    file come from its beginning, `file_head`. Any other is counted as the longest MP3 file. `is_whole` says that `size`
    is that of the file itself."""
    wav = _wav(file_head)
    if wav is None:
        return Units("second", _milli(size / MP3_BYTES_PER_S), _milli(size / USUAL_BYTES_PER_S))
    start, length, bytes_per_s = wav
    rest = max(size - start, 0)
    most = _milli(rest / bytes_per_s)
    if is_whole and length >= rest - 1:
        return Units("second", most)
    return Units("second", most, _milli(min(length, rest) / bytes_per_s))


def _milli(seconds: float) -> int:
    return max(ceil(seconds), 1) * 1000


_PLAIN_WAV = (1, 3, 6, 7, 0xFFFE)  # PCM, floating point, A-law, mu-law, and those that a longer header describes
_NO_LENGTH = (0, 0xFFFFFFFF)  # of a file that was written as a stream


def _wav(head: bytes) -> tuple[int, int, int] | None:
    """Return the start of the data of a WAV file, its length, and the bytes of a second; `None` if this is no WAV file
    with samples of one size. http://soundfile.sapp.org/doc/WaveFormat/"""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, rate = 12, 0
    while len(head) >= at + 8:
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"data":
            return (at + 8, 2**63 if length in _NO_LENGTH else length, rate) if rate else None
        if name == b"fmt ":
            layout, channels = (int.from_bytes(head[at + i : at + i + 2], "little") for i in (8, 10))
            samples, stated = (int.from_bytes(head[at + i : at + i + 4], "little") for i in (12, 16))
            frame, bits = (int.from_bytes(head[at + i : at + i + 2], "little") for i in (20, 22))
            is_plain = layout in _PLAIN_WAV and frame * 8 == channels * bits and stated == samples * frame
            if rate or not is_plain:  # of two such parts, servers may take either
                return None
            rate = stated
        at += 8 + length + length % 2
    return None


def search_units(documents: Iterable[Raw], query: Raw) -> Units:
    """Return the searches of a ranking. A document takes a token for each byte at most."""
    count, most, about = 0, 0, 0
    of_query = memoryview(query).nbytes
    for document in documents:
        size = memoryview(document).nbytes
        count += 1
        if size + of_query <= _PART_TOKENS:
            most, about = most + 1, about + 1
        else:
            most += 1 + size // _LEAST_PART_TOKENS
            about += -(-(size + of_query) // (_PART_TOKENS * BYTES_PER_TOKEN))
    if most == count:
        return Units("search", _searches(count) * 1000)
    return Units("search", _searches(most) * 1000, _searches(about) * 1000)


def _searches(documents: int) -> int:
    return max(-(-documents // DOCUMENTS_OF_A_SEARCH), 1)


_Seconds = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
_Number = Annotated[float, Meta(ge=0, le=1_000_000)]


class _Nothing(Struct, gc=False):
    """Any object: none of its fields is read."""


class _Images(Struct, gc=False):
    data: list[_Nothing] | None = None
    quality: str | None = None
    size: str | None = None


class _OfUsage(Struct, gc=False):
    seconds: _Seconds | None = None
    search_units: _Number | None = None


class _Billed(Struct, gc=False):
    search_units: _Number | None = None


class _Meta(Struct, gc=False):
    billed_units: _Billed | None = None


class _Pages(Struct, gc=False):
    pages_processed: _Number | None = None


class _Answer(Struct, gc=False):
    usage: Raw = Raw(b"")
    duration: Raw = Raw(b"")
    meta: Raw = Raw(b"")
    usage_info: Raw = Raw(b"")


_IMAGES = msgspec.json.Decoder(_Images)
_ANSWER = msgspec.json.Decoder(_Answer)
_USAGE = msgspec.json.Decoder(_OfUsage)
_META = msgspec.json.Decoder(_Meta)
_PAGES = msgspec.json.Decoder(_Pages)
_DURATION = msgspec.json.Decoder(_Seconds | str)
MAX_OBJECTS = 10_000  # in an answer with images
MAX_ANSWER_BYTES = 1024 * 1024  # of an answer that is not images: longer ones are not searched for units


def answered_units(call: Call, body: bytes) -> Units | None:
    """Return the units that an answer reports, or `None`."""
    units = call.units
    if units is None:
        return None
    try:
        if units.unit == "image":
            if len(body) > MAX_ANSWER_BYTES and body.count(b"{") > MAX_OBJECTS:
                return None
            images = _IMAGES.decode(body)
            return image_units(len(images.data), images.quality or "", images.size or "") if images.data else None
        if units.unit == "character" or len(body) > MAX_ANSWER_BYTES:
            return None
        answer = _ANSWER.decode(body)
    except UNREADABLE:
        return None
    usage = read_or(_USAGE, answer.usage, _OfUsage()) if not is_empty(answer.usage) else _OfUsage()
    if units.unit == "second":
        seconds = usage.seconds if usage.seconds is not None else _duration(answer.duration)
        return Units("second", ceil(seconds * 1000)) if seconds else None
    found: float | None
    if units.unit == "search":
        billed = read_or(_META, answer.meta, _Meta()).billed_units if not is_empty(answer.meta) else None
        found = billed.search_units if billed is not None else usage.search_units
    else:
        found = (
            read_or(_PAGES, answer.usage_info, _Pages()).pages_processed if not is_empty(answer.usage_info) else None
        )
    return Units(units.unit, ceil(found * 1000)) if found else None


def _duration(raw: Raw) -> float | None:
    """Return the duration in a detailed transcription. Some servers write it as a text."""
    found = read_or(_DURATION, raw, "") if not is_empty(raw) else ""
    if isinstance(found, str):
        try:
            found = float(found)
        except ValueError:
            return None
    return found if 0 < found <= MAX_SECONDS else None
