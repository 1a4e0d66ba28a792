"""The reference page of alerts: kinds of conditions, subjects with their facts, and channels."""

from collections.abc import Iterator
from typing import Any

import msgspec

from pointsman.alerting.api import AlertKind
from pointsman.alerting.channels import CHANNELS
from pointsman.alerting.conditions import CompiledCheck, fact_kinds
from pointsman.alerting.kinds import KINDS
from pointsman.alerting.subjects import SUBJECTS, meanings
from pointsman.config.alerts import default_rules
from repo.rules_page import TYPES

INTRODUCTION = """# Kinds of conditions and facts of alerts

[The guide](../operations/alerts.md) shows how to write rules, and [the configuration](config.md#alerts) lists their
fields.

## Kinds of conditions

A rule names one in `kind`, with settings or without: `budget`, `{budget: {percent: [80, 100]}}`, or
`{budget: [80, 100]}` for the first setting. Each is a condition over the facts below.
"""

FACTS = """## Subjects and facts

A rule of your own names a subject in `each`, and a condition in `when`. It is evaluated for each thing of the subject.
Conditions are written in CEL, with [the functions of rules](rules.md#functions). `kind` with `when` adds a condition.
A fact that is unknown neither fires nor ends an alert. The labels of an alert are the facts that identify the thing.
"""


def page() -> str:
    """Return the page. The conditions of all kinds have compiled."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    by_default = {rule.name for rule in default_rules()}
    for name, kind in KINDS.items():
        yield f"### {name}\n"
        yield f"{kind.meaning}{'' if name in by_default else ' No default rule has it.'}\n"
        yield from _settings(kind)
    yield FACTS
    for name, subject in SUBJECTS.items():
        yield f"### {name}\n"
        yield f"{_first_line(subject.facts)} Labels: {', '.join(f'`{one}`' for one in subject.labels) or 'none'}."
        if subject.once_in:
            yield f"An alert fires at most once for each value of `{subject.once_in}`."
        yield "\n| fact | type | meaning |"
        yield "|---|---|---|"
        described = meanings(subject)
        for fact, of_type in fact_kinds(subject).items():
            yield f"| `{fact}` | {TYPES[of_type]} | {_cell(described[fact])} |"
        yield ""
    yield "## Channels\n"
    yield "| type | meaning | secrets |"
    yield "|---|---|---|"
    for name, channel in CHANNELS.items():
        yield f"| `{name}` | {channel.meaning} | {'required' if channel.is_signed else 'none'} |"
    yield ""


def _settings(kind: AlertKind) -> Iterator[str]:
    schema: dict[str, Any] = msgspec.json.schema(kind.settings)["$defs"][kind.settings.__name__]
    yield "| setting | meaning |"
    yield "|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_cell(field['description'])} |"
    yield "\n```"
    for check in kind.make(kind.settings()):
        CompiledCheck(check)
        yield f"each {check.each}: {check.when}"
    yield "```\n"


def _first_line(facts: type[msgspec.Struct]) -> str:
    return (facts.__doc__ or "").strip().partition("\n")[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
