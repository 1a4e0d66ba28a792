"""Requests for images: their number, quality and size."""

import pytest

from fakes.wire import parse
from pointsman.domain.failures import Rejection
from pointsman.domain.units import Units

PATH = "/images/generations"


def test_each_requested_image_is_charged() -> None:
    assert parse({"model": "m", "n": 4}, PATH).choices == 4
    assert parse({"model": "m", "n": None}, PATH).choices == 1
    assert parse({"model": "m", "n": "a name"}, "/moderations").choices == 1, "on other paths it may have any meaning"
    for n in (0, -1, 2.5, "4", 10**9):
        with pytest.raises(Rejection) as caught:
            parse({"model": "m", "n": n}, PATH)
        assert caught.value.failure.param == "n"


@pytest.mark.parametrize("name", ["n", "batch_size", "num_images"])
def test_number_of_images_has_several_names(name: str) -> None:
    assert parse({"model": "m", name: 3}, PATH).units == Units("image", 3000)
    assert parse({"model": "m", "n": 1, name: 3}, PATH).answers == 3


def test_quality_and_size_are_read() -> None:
    body = {"model": "m", "quality": "high", "size": "1024x1024", "stream": True}
    call = parse(body, PATH)
    assert (call.units, call.stream) == (Units("image", 1000, None, "high", "1024x1024"), True)


@pytest.mark.parametrize("value", ["auto", "", None, 7, ["x"]])
def test_quality_or_size_that_the_provider_chooses_is_unknown(value: object) -> None:
    assert parse({"model": "m", "quality": value, "size": value}, PATH).units == Units("image", 1000)
