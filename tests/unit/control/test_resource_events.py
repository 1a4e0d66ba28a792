"""Events of the audit log about resources."""

from typing import Any

from pointsman.control.resource_events import ChangeIntent, unchanged_event, version_event
from pointsman.control.store.resources import ConfigVersion, ResourceChange


def version(*changes: ResourceChange) -> ConfigVersion:
    return ConfigVersion(number=7, at=1.0, author="me", note="why", digest="d", changes=list(changes))


def team(name: str, before: Any, after: Any) -> ResourceChange:
    return ResourceChange(kind="team", name=name, before=before, after=after)


def test_single_resource_has_its_name_and_owners() -> None:
    acme = {"customer": "acme"}
    for before, after, action in ((None, acme, "create"), (acme, {**acme, "x": 1}, "change"), (acme, None, "delete")):
        event = version_event(version(team("a", before, after)), ChangeIntent(author="me"))
        assert (event.action, event.kind, event.name) == (action, "team", "a")
        assert (event.team, event.customer, event.note, event.configuration) == ("a", "acme", "why", "d")
    event = version_event(version(ResourceChange(kind="customer", name="acme", after={})), ChangeIntent(author="me"))
    assert (event.team, event.customer) == ("", "acme")


def test_many_resources_are_one_event_without_owners() -> None:
    changes = (team("a", None, {"x": 1}), team("b", None, {"x": 1}))
    event = version_event(version(*changes), ChangeIntent(author="me", action="apply"))
    assert (event.action, event.kind, event.name, event.team) == ("apply", "configuration", "7", "")
    assert [(one.name, one.field) for one in event.changes] == [("a", "x"), ("b", "x")]


def test_call_without_effect_is_unchanged() -> None:
    event = unchanged_event(ChangeIntent(author="me", action="change"), [("team", "a")])
    assert (event.outcome, event.kind, event.name) == ("unchanged", "team", "a")
    assert unchanged_event(ChangeIntent(author="me", action="apply"), []).kind == "configuration"
