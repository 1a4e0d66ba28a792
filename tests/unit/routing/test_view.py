"""The view of a state in which nothing is wrong."""

from fakes.routing import NOW, endpoint, snapshot
from pointsman.routing.view import CalmView


def test_a_calm_view_objects_to_nothing() -> None:
    configuration = snapshot([endpoint("a")])
    view = CalmView(configuration)
    assert view.snapshot is configuration
    assert not view.conditions
    assert not view.key_blocks
    assert view.may_retry("a", NOW)
