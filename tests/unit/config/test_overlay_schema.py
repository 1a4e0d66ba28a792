"""The types of the overlay."""

from datetime import date

import pytest
from pydantic import ValidationError

from pointsman.config.overlay_schema import OverlayDocument, OverlayEntry


def test_day_may_be_text_or_a_date() -> None:
    for value in ("2027-03-31", date(2027, 3, 31)):
        assert OverlayEntry.model_validate({"retires_on": value}).retires_on == date(2027, 3, 31)
    assert OverlayEntry.model_validate({"retires_on": "never"}).retires_on == "never"
    with pytest.raises(ValidationError):
        OverlayEntry.model_validate({"retires_on": "soon"})


def test_models_may_be_missing() -> None:
    assert OverlayDocument.model_validate({"models": None}).models == {}
