"""A resource has a label for messages."""

from pointsman.config.resource import Resource


def test_label_has_kind_and_name() -> None:
    assert Resource(kind="team", name="research", spec={}).label == "team research"
