"""Subjects of alerts, a file each: `SUBJECT`. The fields of its struct are the facts that conditions can read.

A fact that is `None` is unknown, and a condition that reads it neither matches nor ends an alert.
"""

from typing import Any, cast, get_type_hints

from pointsman.alerting.api import AlertSubject
from pointsman.registry import members

SUBJECTS: dict[str, AlertSubject] = {name: cast("AlertSubject", one) for name, one in members(__name__, "SUBJECT")}


def meanings(subject: AlertSubject) -> dict[str, str]:
    """Return the meanings of the facts of a subject."""
    hints: dict[str, Any] = get_type_hints(subject.facts, include_extras=True)
    return {name: hints[name].__metadata__[0].description for name in subject.facts.__struct_fields__}
