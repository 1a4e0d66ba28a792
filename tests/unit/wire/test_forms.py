"""Calls of forms and files: what is reserved for them, and which can be repeated."""

from math import ceil

import pytest

from fakes.wire import parsed_head, rejected
from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.units import Units
from pointsman.wire.forms import form_call, form_reader, whole_call
from pointsman.wire.multipart import ReadForm
from pointsman.wire.tokens import MEDIA_TOKENS
from pointsman.wire.ways_out import WayOut, ways_out_of

FORM = "multipart/form-data; boundary=B"


def part(name: str, value: bytes, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    return f'--B\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"


def read(path: str, *parts: bytes, most_held: int = 100_000) -> Call:
    """Return the call of a form that arrives whole."""
    body = b"".join(parts) + b"--B--\r\n"
    parsed = parsed_head(path, content_type=FORM)
    form = form_reader(parsed, len(body), most_held, finds_state=False)
    assert form is not None
    form.feed(body)
    return form_call(parsed, len(body), form.read())


def test_streamed_body_is_not_read() -> None:
    what = parsed_head("/audio/transcriptions", provider="openai", tags={"a": "b"})
    call = form_call(what, 17, ReadForm(values={"model": "whisper"}))
    assert (call.fields, call.raw_body, call.stateful, call.size) == ({}, None, True, 17)
    assert (call.model, call.head.provider, call.head.tags) == ("whisper", "openai", {"a": "b"})


def test_form_with_recording_is_bounded_by_longest_duration() -> None:
    def media(path: str, size: int) -> Media:
        return form_call(parsed_head(path), size, ReadForm(values={"model": "m"})).media

    assert media("/audio/transcriptions", 3_000_000) == Media(1, 151_500, 3_000_000)
    assert media("/audio/translations", 1000) == media("/audio/transcriptions", 1000) == Media(1, 16_000, 1000)
    assert media("/files", 1000) is NO_MEDIA


def test_source_images_of_form_are_bounded_and_requested_ones_counted() -> None:
    call = form_call(
        parsed_head("/images/edits"),
        4_000_000,
        ReadForm(values={"model": "m", "n": "3"}, files=2, file_bytes=3_999_000),
    )
    assert (call.media, call.choices) == (Media(2, 2 * MEDIA_TOKENS, 3_999_000), 3)
    assert form_call(parsed_head("/images/edits"), 10).choices == 1


@pytest.mark.parametrize("n", ["0", "129", "many", "1.5", "1 2", "[1]"])
def test_malformed_number_of_images_is_rejected(n: str) -> None:
    assert rejected(lambda: form_call(parsed_head("/images/edits"), 10, ReadForm(values={"n": n}))).param == "n"


def wav(seconds: float, rate: int = 8_000, *, length: int | None = None, parts: bytes = b"") -> bytes:
    """Return a WAV file of one channel with 16 bits. `length` is that in its header."""
    data = bytes(int(seconds * rate) * 2)
    layout = b"".join(
        number.to_bytes(size, "little") for number, size in ((1, 2), (1, 2), (rate, 4), (rate * 2, 4), (2, 2), (16, 2))
    )
    stated = len(data) if length is None else length
    chunks = b"fmt " + (16).to_bytes(4, "little") + layout + parts + b"data" + stated.to_bytes(4, "little") + data
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks


@pytest.mark.parametrize("seconds", [0.01, 1, 2.5, 3])
def test_seconds_of_a_wav_file_are_exact_and_rounded_up(seconds: float) -> None:
    call = read("/audio/transcriptions", part("file", wav(seconds), "a.wav"), part("model", b"m"))
    assert call.units == Units("second", max(1, ceil(seconds)) * 1000)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_wav_file_of_unstated_length_reaches_to_its_end(length: int) -> None:
    call = read("/audio/translations", part("model", b"m"), part("file", wav(2, length=length), "a.wav"))
    assert call.units == Units("second", 2000)


def test_wav_file_with_other_chunks_is_read() -> None:
    other = b"LIST" + (5).to_bytes(4, "little") + b"INFO.\0"
    call = read("/audio/transcriptions", part("model", b"m"), part("file", wav(2, parts=other), "a.wav"))
    assert call.units == Units("second", 2000)


def test_wav_file_longer_than_its_header_says_is_bounded_by_its_size() -> None:
    call = read("/audio/transcriptions", part("model", b"m"), part("file", wav(5, length=16_000), "a.wav"))
    assert call.units == Units("second", 5000, 1000)


def test_second_format_in_a_wav_file_is_not_believed() -> None:
    faster = wav(1, 48_000)[12:36]
    file = wav(3, parts=faster)
    call = read("/audio/transcriptions", part("model", b"m"), part("file", file, "a.wav"))
    assert call.units is not None
    assert call.units.milli >= len(file)


def test_other_recording_is_bounded_by_its_size() -> None:
    call = read("/audio/transcriptions", part("model", b"m"), part("file", b"\xff" * 32_000, "a.mp3"))
    assert call.units == Units("second", 32_000, 2000)


def test_two_files_are_bounded_by_the_size_of_the_form() -> None:
    parts = part("model", b"m"), part("file", wav(1), "a.wav"), part("file", bytes(32_000), "b.mp3")
    call = read("/audio/transcriptions", *parts)
    assert call.units is not None
    assert call.units.milli >= 48_000


def test_recording_by_its_address_or_of_unknown_size_has_no_bound() -> None:
    named = read("/audio/transcriptions", part("model", b"m"), part("url", b"https://x/a.mp3"))
    assert named.units is None
    assert form_call(parsed_head("/audio/transcriptions"), 10, is_sized=False).units is None


def test_images_of_a_form_have_their_quality_and_size() -> None:
    image = part("image", b"\x89PNG", "a.png")
    fields = [part("size", b"1024x1536"), part("quality", b"high"), part("n", b"2"), part("model", b"m")]
    assert read("/images/edits", image, *fields).units == Units("image", 2000, None, "high", "1024x1536")
    assert read("/images/edits", image, part("size", b"auto"), part("model", b"m")).units == Units("image", 1000)
    streamed = read("/images/edits", image, part("model", b"m"), part("stream", b"true"))
    assert streamed.stream


def test_quality_may_follow_the_decision_unless_another_was_decided_on() -> None:
    parsed = parsed_head("/images/edits", content_type=FORM)
    first, late = part("model", b"m") + part("n", b"1"), part("image", b"x" * 500, "a.png")

    def feed(before: bytes) -> None:
        form = form_reader(parsed, None, 1000, finds_state=False)
        assert form is not None
        form.feed(first + before)
        form.decide()
        form.feed(late + part("quality", b"high") + b"--B--\r\n")

    feed(b"")
    assert rejected(lambda: feed(part("quality", b"low"))).param == "quality"


def test_whole_form_belongs_to_no_account() -> None:
    call = read("/audio/transcriptions", part("model", b"m"), part("file", b"x", "a.mp3"))
    assert call.stateful
    whole = whole_call(call, b"body", (1, 2))
    assert whole is not None
    assert (whole.stateful, whole.raw_body, whole.model_at) == (False, b"body", (1, 2))
    video = form_call(parsed_head("/videos", content_type=FORM), 10)
    assert whole_call(video, b"body", None) is None


@pytest.mark.parametrize("name", ["image_url", "image", "image[]", "mask"])
def test_addresses_in_a_form_are_ways_out_and_count_as_images(name: str) -> None:
    parts = part("model", b"m"), part("prompt", b"https://a.test/x"), part(name, b"https://a.test/b.png")
    call = read("/images/edits", *parts, part("image", b"\x89PNG", "a.png"))
    assert ways_out_of(call) == (WayOut("remote_urls", name),)
    assert call.media.count == 2
    assert ways_out_of(read("/images/edits", part("model", b"m"), part("image", b"https://a", "a.png"))) == ()


def test_recording_at_an_address_in_any_field_has_no_bound() -> None:
    for name in ("url", "file_url", "file", "audio_url"):
        call = read("/audio/transcriptions", part(name, b"https://x/a.mp3"), part("model", b"m"))
        assert (call.media.elsewhere, call.units) == (name, None)
        assert ways_out_of(call) == (WayOut("remote_urls", name),)


def test_address_may_not_follow_the_decision() -> None:
    form = form_reader(parsed_head("/audio/transcriptions", content_type=FORM), None, 1000, finds_state=False)
    assert form is not None
    form.feed(part("model", b"m"))
    form.decide()
    form.feed(part("file", b"x" * 500, "a.wav"))
    late = rejected(lambda: form.feed(part("audio_url", b"https://x/a.mp3") + b"--B--"))
    assert (late.param, "too late" in late.message) == ("audio_url", True)
