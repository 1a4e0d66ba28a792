"""The fields of a request for speech."""

from typing import Any

import pytest

from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.wire.spoken import sound_format, text_bytes


def speech(**fields: Any) -> Call:
    return parse({"model": "m", "voice": "alloy", "input": "hi", **fields}, "/audio/speech")


def test_length_of_the_text_is_no_less_than_its_characters() -> None:
    assert text_bytes(speech()) == len('"hi"')
    assert text_bytes(speech(input="é" * 10)) >= 10


@pytest.mark.parametrize(("fields", "expected"), [({}, "mp3"), ({"response_format": "pcm"}, "pcm")])
def test_format_of_the_sound(fields: dict[str, Any], expected: str) -> None:
    assert sound_format(speech(**fields)) == expected
