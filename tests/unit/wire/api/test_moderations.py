"""Moderations: the model, and the media in their input."""

from fakes.wire import parse
from pointsman.wire.tokens import MEDIA_TOKENS


def test_moderation_may_name_no_model() -> None:
    call = parse({"input": "x"}, "/moderations", provider="openai")
    assert (call.operation, call.model, call.units) == ("moderation", "", None)


def test_images_of_a_moderation_are_bounded() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x/a.png"}}
    assert parse({"model": "m", "input": [image, image]}, "/moderations").media.tokens >= 2 * MEDIA_TOKENS
