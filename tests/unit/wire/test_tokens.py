"""Media in a prompt are found in every spelling, and their tokens are never underestimated."""

import json
import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fakes.wire import parse
from pointsman.domain.calls import NO_MEDIA, Media
from pointsman.wire.tokens import (
    AUDIO_TOKENS_PER_S,
    IMAGES,
    MEDIA_TOKENS,
    MP3_BYTES_PER_S,
    RECORDING_TOKENS,
    TYPES,
    WAV_BYTES_PER_S,
    in_audio_request,
    in_content,
    in_input,
    in_pictures,
    in_ranking,
    in_recording,
)

PICTURE = "data:image/png;base64," + b64encode(bytes(3000)).decode()
TEXT = {"type": "text", "text": "look"}
MPEG_2 = b"\xff\xf3\x14\xc4"  # the head of a frame: 8 kbit/s, 24 kHz


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def wav(seconds: int, rate: int = 8000, *, channels: int = 1, bits: int = 16, layout: int = 1) -> bytes:
    frame = channels * bits // 8
    data = bytes(seconds * rate * frame)
    head = struct.pack("<HHIIHH", layout, channels, rate, rate * frame, frame, bits)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt \x10\0\0\0" + head + b"data\0\0\0\0" + data


def recording(data: bytes, **more: str) -> dict[str, object]:
    return {"type": "input_audio", "input_audio": {"data": b64encode(data).decode(), "format": "wav", **more}}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_each_kind_of_media_counts(name: str) -> None:
    content = [TEXT, {"type": name}, {"type": name, name: {"url": "https://host/x"}}]
    elsewhere = name if name in ("audio_url", "video_url", "document_url") else ""
    expected = Media(2, 2 * MEDIA_TOKENS, elsewhere=elsewhere)
    assert in_content(raw(content)) == expected
    assert in_input(raw([{"role": "user", "content": content}])) == expected
    assert in_input(raw([{"type": "function_call_output", "output": content}])) == expected
    assert in_input(raw(content)).count >= 2, "no items, but the upper bound"


@pytest.mark.parametrize(
    ("part", "elsewhere"),
    [
        ({"type": "input_file", "file_id": "file-1"}, "file_id"),
        ({"type": "input_image", "file_id": "file-1"}, "file_id"),
        ({"type": "something_new", "file_id": "file-1"}, "file_id"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_id"),
        ({"type": "input_file", "file_url": "https://host/x.pdf"}, "file_url"),
        ({"type": "document_url", "document_url": "https://host/x.pdf"}, "document_url"),
        ({"video_url": {"url": "https://host/x.mp4"}}, "video_url"),
        ({"type": "input_file", "file_data": "data:application/pdf;base64,AA"}, ""),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA"}}, ""),
        ({"type": "input_image", "file_id": None, "image_url": "https://host/x.png"}, ""),
        ({"type": "text", "text": '{"file_id": "file-1"}'}, ""),
    ],
)
def test_content_by_reference_is_named(part: dict[str, object], elsewhere: str) -> None:
    assert in_content(raw([part])).elsewhere == elsewhere
    if part["type" if "type" in part else "video_url"] not in ("something_new", "text"):
        assert in_input(raw([{"role": "user", "content": [part]}])).elsewhere == elsewhere


@pytest.mark.parametrize(
    "content", ["text", 'the word "image_url"', '[{"type":"image_url"}]', None, 1, [], [1], {"type": "image_url"}]
)
def test_content_without_parts_has_no_media(content: object) -> None:
    assert in_content(raw(content)) is NO_MEDIA


def test_absent_content_has_no_media() -> None:
    assert in_content(Raw(b"")) is NO_MEDIA
    assert in_input(None) is NO_MEDIA
    assert in_input(raw('what is an "image_url"?')) is NO_MEDIA


# Images.


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "high"}},
        {"type": "image_url", "image_url": PICTURE},
        {"type": "input_image", "image_url": PICTURE},
        {"image_url": {"url": PICTURE}},
    ],
)
def test_inline_image_counts_as_one_and_not_by_its_bytes(part: object) -> None:
    found = Media(1, MEDIA_TOKENS, len(json.dumps(PICTURE)))
    assert in_content(raw([TEXT, part])) == found
    assert in_input(raw([{"role": "user", "content": [TEXT, part]}])) == found


def test_computer_screenshot_is_an_image() -> None:
    output = {"type": "computer_screenshot", "image_url": PICTURE}
    found = Media(1, MEDIA_TOKENS, len(json.dumps(PICTURE)))
    assert in_input(raw([{"type": "computer_call_output", "call_id": "c", "output": output}])) == found


@pytest.mark.parametrize("format_", ["png", "jpeg", "jpg", "webp", "gif"])
def test_escaped_slashes_are_accepted(format_: str) -> None:
    picture = PICTURE.replace("png", format_)
    written = json.dumps([{"type": "image_url", "image_url": {"url": picture}}]).replace("/", "\\/")
    assert in_content(Raw(written.encode())) == Media(1, MEDIA_TOKENS, len(json.dumps(picture).replace("/", "\\/")))


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ({"type": "text", "text": PICTURE}, 0),
        ({"type": "text", "text": "", "image_url": {"url": PICTURE}}, 0),
        ({"type": "file", "file": {"file_data": PICTURE}}, 1),
        ({"type": "video_url", "video_url": {"url": PICTURE}}, 1),
        ({"type": "image_url", "image_url": {"url": PICTURE.replace("image/png", "application/pdf")}}, 1),
        ({"type": "image_url", "image_url": {"url": PICTURE.replace("png", "svg+xml")}}, 1),
        ({"type": "image_url", "image_url": {"url": PICTURE.replace("png", "tiff")}}, 1),
        ({"type": "image_url", "image_url": {"url": PICTURE.replace("png", "pngs")}}, 1),
        ({"type": "image_url", "image_url": {"url": "https://host/x?data:image/" + PICTURE}}, 1),
        ({"type": "image_url", "image_url": {"URL": PICTURE}}, 1),
        ({"type": "image_url", "image_url": [PICTURE]}, 1),
        ({"type": "image_url", "image_url": {"url": {"url": PICTURE}}}, 1),
        ({"type": "image_url", "text": PICTURE}, 1),
        ({"type": "input_audio", "input_audio": {"data": PICTURE}}, 1),
        ({"type": "input_audio", "input_audio": PICTURE}, 1),
    ],
)
def test_ambiguous_image_counts_by_its_bytes(part: object, count: int) -> None:
    assert in_content(raw([part])) == Media(count, count * MEDIA_TOKENS)


@pytest.mark.parametrize(
    ("part", "elsewhere"),
    [
        ({"type": "picture", "image_url": {"url": PICTURE}}, "content"),
        ({"type": "document", "source": {"type": "url", "url": "https://host/x.pdf"}}, "content"),
        ({"type": "video", "video": ["https://host/1.png"] * 100}, "video"),
        ({"type": "video", "video": "https://host/x.mp4"}, "video"),
        ({"type": "audio", "audio": "https://host/x.mp3"}, "audio"),
        ({"type": "image", "image": "https://host/x.png"}, ""),
        ({"image": "https://host/x.png"}, ""),
        ({"video": "https://host/x.mp4"}, "video"),
    ],
)
def test_part_of_foreign_kind_counts(part: object, elsewhere: str) -> None:
    assert in_content(raw([part])) == Media(1, MEDIA_TOKENS, elsewhere=elsewhere)


@pytest.mark.parametrize("kind", ["text", "output_text", "refusal", "thinking", "reasoning_text", "summary_text"])
def test_text_part_counts_only_by_its_bytes(kind: str) -> None:
    assert in_content(raw([{"type": kind, "text": "x"}])) is NO_MEDIA


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"prompt": "x"}, 0),
        ({"images": []}, 0),
        ({"image": None}, 0),
        ({"images": [{"image_url": "https://host/x.png"}, {"file_id": "file-1"}], "mask": {"file_id": "file-2"}}, 3),
        ({"image": {"url": "https://host/x.png", "type": "image_url"}}, 1),
        ({"image_url": "https://host/x.png"}, 1),
    ],
)
def test_each_source_image_counts(fields: dict[str, object], count: int) -> None:
    found = in_pictures({name: raw(value) for name, value in fields.items()})
    assert (found.count, found.tokens) == (count, count * MEDIA_TOKENS)


def test_ranking_input_may_hold_media() -> None:
    images = [{"type": "image_url", "image_url": {"url": "https://host/x.png"}}] * 9
    for fields in (
        {"data_2": {"content": images}},
        {"documents": {"content": images}},
        {"input": [{"content": images}]},
    ):
        assert in_ranking({name: raw(value) for name, value in fields.items()}).count >= 9
    assert in_ranking({"query": raw("x"), "documents": raw(["image_url", {"text": "y"}])}).tokens <= MEDIA_TOKENS
    video = {"documents": raw({"content": [{"type": "video_url", "video_url": {"url": "https://host/x.mp4"}}]})}
    assert in_ranking(video).elsewhere == "video_url"


def test_recording_by_reference_is_elsewhere() -> None:
    assert in_audio_request({"file_url": raw("https://host/x.mp3")}).elsewhere == "file_url"
    assert in_audio_request({"input": raw("Say this"), "file_id": raw(None)}) is NO_MEDIA
    assert in_recording(300, "url").elsewhere == "url"


def test_text_beside_an_image_counts() -> None:
    text = "x" * 100_000
    part = {"type": "image_url", "image_url": {"url": PICTURE, "detail": text}, "text": text}
    found = in_content(raw([{**TEXT, "text": text}, part]))
    assert found == Media(1, MEDIA_TOKENS, len(json.dumps(PICTURE)))


# Recordings.


@pytest.mark.parametrize(
    ("data", "bytes_per_s"),
    [
        (wav(9), 16_000),
        (wav(9, bits=8), 8_000),
        (wav(9, 1), 2),
        (wav(9, layout=3, bits=32), WAV_BYTES_PER_S),
        (wav(2, 48_000, channels=2), WAV_BYTES_PER_S),
        (MPEG_2 + bytes(5000), MP3_BYTES_PER_S),
        (b"ID3\x04\0\0\0\0\x01\x02" + bytes(130) + MPEG_2 + bytes(5000), MP3_BYTES_PER_S),
    ],
)
def test_recording_counts_by_longest_possible_duration(data: bytes, bytes_per_s: int) -> None:
    part = recording(data)
    inside = json.dumps(b64encode(data).decode())
    found = in_content(raw([part]))
    assert (found.count, found.size) == (1, len(inside))
    audio_tokens = AUDIO_TOKENS_PER_S * len(data) / bytes_per_s
    assert audio_tokens <= found.tokens - RECORDING_TOKENS <= audio_tokens + 3 * AUDIO_TOKENS_PER_S / bytes_per_s + 1
    slashed = json.dumps([part]).replace("/", "\\/").encode()
    assert in_content(Raw(slashed)).tokens == found.tokens


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"fLaC" + bytes(5000),  # silence takes two bytes a second
        b"OggS" + bytes(5000),
        wav(9)[:35],
        wav(9, 0),
        wav(9, layout=0x55),  # MP3 in a WAV file
        wav(9, layout=0xFFFE),
        wav(9, bits=4),
        b"ID3\x04\0\0\0\0\x01\x02" + bytes(130) + b"fLaC" + bytes(5000),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + MPEG_2 * 1000,
        b"ID3",
        b"\xff\xf3\x04\xc4" + bytes(5000),  # an implausible rate
        b"\xff\xf5\x14\xc4" + bytes(5000),  # layer II
        b"\xff\xeb\x14\xc4" + bytes(5000),
        b"\xff\xf3\x1c\xc4" + bytes(5000),
        b"\xff",
    ],
)
def test_recording_of_unknown_length_counts_by_its_bytes(data: bytes) -> None:
    assert in_content(raw([recording(data)])) == Media(1, MEDIA_TOKENS)


@pytest.mark.parametrize("data", ["", "UklGR", "é" * 99, '"', 7, None, {}])
def test_invalid_base64_counts_by_its_bytes(data: object) -> None:
    assert in_content(raw([{"type": "input_audio", "input_audio": {"data": data}}])) == Media(1, MEDIA_TOKENS)


# Hostile input.


def test_escaped_names_are_counted() -> None:
    hidden = b'[{"\\u0074ype": "\\u0069mage_url"}]'
    assert json.loads(hidden) == [{"type": "image_url"}]
    assert in_content(Raw(hidden)).count == 1
    assert in_input(Raw(b'[{"content": ' + hidden + b"}]")).count == 1
    assert in_input(Raw(b'[{"c\\u006fntent": ' + hidden + b"}]")).count == 1
    assert in_input(Raw(b'[{"elsewhere": ' + hidden + b"}]")).count == 1


def test_unreadable_content_counts_as_most_media() -> None:
    half = b'[{"text":"\\ud800","type":"\\u0069mage_url"},{"type":"input_image"}]'
    assert in_input(Raw(half)).count == 2
    assert in_content(Raw(b'["text",{"type":"image_url"}]')) == Media(1, MEDIA_TOKENS)
    assert in_content(Raw(b'[{"type":7},{"type":"image_url"}]')) == Media(1, MEDIA_TOKENS)
    assert in_input(Raw(b'["\\ud800 \\u00e9"]')) is NO_MEDIA


def test_deep_nesting_is_no_error() -> None:
    deep = b"[" * 100_000 + b'"\\u0069mage_url"' + b"]" * 100_000
    assert in_content(Raw(deep)).count == 1
    assert in_input(Raw(deep)).count == 1


_WORDS = st.sampled_from((*sorted(TYPES), "text", "url", "data", "content", "output", "type", PICTURE, "x"))
_VALUES = st.recursive(
    _WORDS | st.none() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(_VALUES, max_size=4), st.booleans())
def test_only_bytes_of_images_are_subtracted(content: list[object], slashed: bool) -> None:
    """Every byte counts as text, except the data URLs of image parts. Each of these is subtracted once."""
    text = json.dumps(content)
    picture = json.dumps(PICTURE)
    if slashed:
        text, picture = text.replace("/", "\\/"), picture.replace("/", "\\/")
    for found in (in_content(Raw(text.encode())), in_input(Raw(text.encode()))):
        assert found.size <= text.count(picture) * len(picture)
        assert found.size <= found.count * len(picture)
        assert found.tokens == found.count * MEDIA_TOKENS
    if not any(name in text for name in IMAGES):
        assert in_content(Raw(text.encode())).size == in_input(Raw(text.encode())).size == 0


@pytest.mark.parametrize(
    ("path", "prompt"),
    [
        ("/chat/completions", {"messages": [{"role": "user", "content": [TEXT, {"image_url": {"url": PICTURE}}]}]}),
        ("/responses", {"input": [{"content": [TEXT, {"type": "input_image", "image_url": PICTURE}]}]}),
    ],
)
def test_call_holds_its_media(path: str, prompt: dict[str, object]) -> None:
    call = parse({"model": "m", **prompt}, path)
    assert call.media == Media(1, MEDIA_TOKENS, len(json.dumps(PICTURE)))
    assert call.size == len(json.dumps({"model": "m", **prompt})), "the whole body"
