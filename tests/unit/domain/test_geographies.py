"""The geographies of AWS regions."""

import pytest

from pointsman.domain.geographies import geographies_of, is_abroad


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("us-east-1", ("us",)),
        ("us-gov-west-1", ("us-gov",)),
        ("eu-central-1", ("eu",)),
        ("ap-northeast-1", ("jp", "apac")),
        ("ap-northeast-2", ("apac",)),
        ("ap-southeast-2", ("au", "apac")),
        ("ap-south-1", ("in", "apac")),
        ("ca-central-1", ("ca",)),
        ("me-central-1", ()),
        ("", ()),
    ],
)
def test_geographies_of_a_region(region: str, expected: tuple[str, ...]) -> None:
    assert geographies_of(region) == expected


def test_other_geographies_are_abroad() -> None:
    assert is_abroad("us-east-1", "eu")
    assert is_abroad("us-gov-west-1", "us")
    assert is_abroad("me-central-1", "eu")
    assert not is_abroad("eu-west-1", "eu")
    assert not is_abroad("eu-west-1", "global")
    assert not is_abroad("eu-west-1", None)
    assert not is_abroad("", "eu"), "the region is not known"
