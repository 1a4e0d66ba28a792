"""Images, speech and forms."""

import base64
import json

import pytest

from fakes.simulated import context_for, form, rejected
from pointsman.simulate.media import images, read_form, speech, transcriptions


@pytest.mark.parametrize(("n", "count"), [(None, 1), (3, 3)])
def test_images_are_returned(n: int | None, count: int) -> None:
    answer = images(context_for({"prompt": "a signal box", "n": n}))
    body = json.loads(answer.body)
    assert len(body["data"]) == count
    assert all(base64.b64decode(item["b64_json"]).startswith(b"\x89PNG") for item in body["data"])
    usage = body["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (answer.tokens_in, answer.tokens_out) == (3, count * 272)


def test_speech_is_as_long_as_its_text_and_repeats_with_the_request_number() -> None:
    def speech_of(text: str, index: int = 0) -> bytes:
        answer = speech(context_for({"model": "tts-1", "input": text, "voice": "alloy"}, index=index))
        assert answer.content_type == "audio/mpeg"
        return answer.body

    assert len(speech_of("abcd")) == 2 * len(speech_of("ab"))
    assert speech_of("abcd") == speech_of("abcd") != speech_of("abcd", index=1)
    assert set(speech_of("x" * 100)) == set(range(256)), "the audio lacks some byte values"


def test_transcription_counts_the_bytes() -> None:
    body = json.loads(transcriptions(form(model="whisper-1", file=b"\r\n--B-\x00" * 10)).body)
    assert body == {"text": "70 bytes of audio.", "usage": {"type": "duration", "seconds": 1}}


def test_transcription_reports_its_usage() -> None:
    answer = transcriptions(form(model="gpt-4o", file=bytes(3201)))
    usage = json.loads(answer.body)["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (answer.tokens_in, answer.tokens_out) == (3, 5)
    assert usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": 3}


def test_transcription_requires_a_served_model() -> None:
    assert rejected(lambda: transcriptions(form(model="gpt-9", file=b"x")))["status"] == 404
    assert rejected(lambda: transcriptions(form(file=b"x")))["param"] == "model"
    assert rejected(lambda: transcriptions(form(model="whisper-1")))["param"] == "file"


def test_forms_are_read_byte_by_byte() -> None:
    found = read_form(form(name="größe", file=bytes(range(256))))
    assert found.text("name") == "größe"
    assert (found.file("file").data, found.file("file").filename) == (bytes(range(256)), "a.bin")


def test_invalid_form_is_rejected() -> None:
    assert rejected(lambda: read_form(context_for({"model": "whisper-1"})))["status"] == 400
    empty = context_for(b"no part in it", content_type="multipart/form-data; boundary=B")
    assert rejected(lambda: read_form(empty).file("file"))["param"] == "file"
