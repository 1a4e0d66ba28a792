"""Messages of syslog have the form of RFC 5424."""

import re

from pointsman.domain.audit import Actor, AuditEvent, AuditRecord, ChainEnd, chained
from pointsman.domain.syslog import syslog_line

FORM = re.compile(
    r"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    r'\[audit@32473( [!-<>-\\^-~]+="(?:[^"\\\]]|\\["\\\]])*")+\] \ufeff(\{.*\})'
)


def record(action: str = "create", name: str = "t", outcome: str = "done") -> AuditRecord:
    event = AuditEvent(action=action, kind="team", name=name, outcome=outcome)
    (made,) = chained(ChainEnd(), 1_700_000_000.25, Actor("user:ann", "203.0.113.7", "r1"), [event])
    return made


def test_message_has_the_form() -> None:
    match = FORM.fullmatch(syslog_line(record(), "gate.example"))
    assert match is not None
    assert (match[1], match[2], match[3], match[4], match[6]) == (
        "109",
        "2023-11-14T22:13:20.250000Z",
        "gate.example",
        "pointsman",
        "create",
    )


def test_refusals_are_warnings() -> None:
    assert syslog_line(record(outcome="refused: forbidden"), "h").startswith("<108>1 ")


def test_hostile_names_stay_in_one_message() -> None:
    line = syslog_line(record(name='a"]\\\n<1>1 - forged', action="end sessions"), "my host")
    assert FORM.fullmatch(line) is not None, line
    assert "\n" not in line
    assert " my_host " in line
    assert " end_sessions " in line
