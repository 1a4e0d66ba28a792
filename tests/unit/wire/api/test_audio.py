"""Requests for speech, and for transcriptions of recordings that are named by their address."""

import pytest

from fakes.wire import parse
from pointsman.domain.units import Units


@pytest.mark.parametrize("text", ["x", "größe", "👋🏽 hi", "\n"])
def test_characters_to_be_spoken_are_exact(text: str) -> None:
    call = parse({"model": "m", "input": text, "voice": "alloy"}, "/audio/speech")
    assert call.units == Units("character", len(text) * 1000)
    assert call.units.is_exact


@pytest.mark.parametrize("body", [{"model": "m"}, {"model": "m", "input": ["x"]}, {"model": "m", "input": ""}])
def test_speech_without_a_text_has_no_units(body: dict[str, object]) -> None:
    assert parse(body, "/audio/speech").units is None


def test_recording_by_its_address_has_unknown_units() -> None:
    call = parse({"model": "m", "url": "https://x/a.mp3"}, "/audio/transcriptions")
    assert (call.units, call.media.elsewhere) == (None, "url")
