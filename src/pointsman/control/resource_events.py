"""Changes of resources as callers want them, their events in the audit log, and their faults."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from pointsman.config.problems import Problem
from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.resources import FaultyField
from pointsman.control.store.replies import Repeat
from pointsman.control.store.resources import ConfigVersion, ResourceChange
from pointsman.domain.audit import Actor, AuditEvent, difference


class ChangeIntent(Struct, frozen=True, kw_only=True):
    """A change by somebody. `repeat` is set for a call that may be repeated. `check` returns faults of other things
    under the configuration with the change."""

    author: str
    note: str = ""
    is_dry_run: bool = False
    repeat: Repeat | None = None
    check: Callable[[Compiled], list[FaultyField]] = lambda _: []
    actor: Actor = Actor()
    action: str = "change"


def version_event(version: ConfigVersion, intent: ChangeIntent) -> AuditEvent:
    """Return the event of a version. One of a single resource has its name and its owners."""
    fields = [one for each in version.changes for one in difference(each.kind, each.name, each.before, each.after)]
    action, kind, name, owners = intent.action, "configuration", str(version.number), ("", "")
    if len(version.changes) == 1 and intent.action == "change":
        (only,) = version.changes
        action = "create" if only.before is None else "delete" if only.after is None else "change"
        kind, name, owners = only.kind, only.name, _owners_of(only)
    return AuditEvent(
        action=action,
        kind=kind,
        name=name,
        team=owners[0],
        customer=owners[1],
        note=version.note,
        changes=tuple(fields),
        configuration=version.digest,
    )


def unchanged_event(intent: ChangeIntent, asked: Sequence[tuple[str, str]]) -> AuditEvent:
    """Return the event of a call whose content is in force already."""
    kind, name = asked[0] if len(asked) == 1 else ("configuration", "")
    return AuditEvent(action=intent.action, kind=kind, name=name, outcome="unchanged", note=intent.note)


def _owners_of(change: ResourceChange) -> tuple[str, str]:
    """Return the team and the customer whose object this is."""
    if change.kind == "customer":
        return "", change.name
    if change.kind != "team":
        return "", ""
    spec = change.after if change.after is not None else change.before
    return change.name, str(spec.get("customer") or "") if isinstance(spec, Mapping) else ""


def explained(problems: Iterable[Problem], asked: Sequence[tuple[str, str]]) -> tuple[str, list[FaultyField]]:
    """Return the errors as faulty fields. Those of the only resource asked about need no name."""
    own = {f"{kind} {name}" for kind, name in asked} if len(asked) == 1 else set[str]()
    faults: list[FaultyField] = []
    for problem in problems:
        if problem.severity == "error":
            line = f"line {problem.line} of the configuration file" if problem.line is not None else ""
            resource = problem.resource if problem.resource not in own else ""
            faults.append(FaultyField(problem.path, problem.message, resource or line))
    return joined(faults), faults


def joined(faults: Iterable[FaultyField]) -> str:
    """Return faults in one line."""
    return "; ".join(": ".join(filter(None, (one.resource, one.field, one.message))) for one in faults)
