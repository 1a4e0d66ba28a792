"""The header that narrows the choice of providers."""

import pytest

from pointsman.domain.failures import Rejection
from pointsman.domain.requirements import Requirement
from pointsman.wire.requirements import HEADER, MAX_CHARS, read_require, stated_in

ORIGIN = f"the header {HEADER}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("region=eu", [("region", ("eu",), False)]),
        (" region = eu | uk ;tier=gold", [("region", ("eu", "uk"), False), ("tier", ("gold",), False)]),
        ("level=a + b,region=eu", [("level", ("a", "b"), True), ("region", ("eu",), False)]),
        ("region=eu, region=us", [("region", ("eu",), False), ("region", ("us",), False)]),
    ],
)
def test_header_is_read(text: str, expected: list[tuple[str, tuple[str, ...], bool]]) -> None:
    assert read_require(text) == tuple(Requirement(*one, ORIGIN) for one in expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "region", "region=", "=eu", "region=eu,", "region=a|b+c", "region=a||b", "re gion=eu"),
        *("region=eü", "region=eu us", "a=" + "b" * MAX_CHARS, "region=eu|", "region==eu", "region=|eu"),
    ],
)
def test_header_that_cannot_be_read_is_rejected(text: str) -> None:
    with pytest.raises(Rejection) as raised:
        read_require(text)
    assert raised.value.failure.param == HEADER
    assert raised.value.failure.kind.status == 400


@pytest.mark.parametrize("text", ["region=eu|uk", "level=a+b", "region=eu"])
def test_texts_of_a_record_are_read_like_the_header(text: str) -> None:
    recorded = {text: ORIGIN, "tier=gold": "virtual key app"}
    assert stated_in(recorded) == read_require(text)
    assert stated_in({"tier=gold": "virtual key app"}) == ()
