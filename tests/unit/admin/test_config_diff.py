"""Differences between versions name each resource once."""

from pointsman.admin.config_diff import net_changes, text_of
from pointsman.control.store.resources import ConfigVersion, ResourceChange


def version(number: int, before: object, after: object, name: str = "a") -> ConfigVersion:
    change = ResourceChange(kind="team", name=name, before=before, after=after)
    return ConfigVersion(number=number, at=0.0, author="", note="", digest="", changes=[change])


def test_changes_of_one_resource_are_summed() -> None:
    found = net_changes([version(1, None, {"x": 1}), version(2, {"x": 1}, {"x": 2}), version(3, None, {}, "b")])
    assert [(one.name, one.before, one.after) for one in found] == [("a", None, {"x": 2}), ("b", None, {})]
    assert net_changes([version(1, None, {}), version(2, {}, None)]) == []


def test_text_is_a_unified_diff() -> None:
    lines = text_of(net_changes([version(1, {"x": 1}, {"x": 2})]))
    assert lines[:2] == ["--- before: team a", "+++ after: team a"]
    assert '-  "x": 1' in lines
    assert '+  "x": 2' in lines
