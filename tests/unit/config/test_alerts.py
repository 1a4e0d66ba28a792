"""Rules of alerts, and their channels."""

import pytest

from fakes.alerts import SECRET
from fakes.configuration import ENVIRON, OPEN, compiled, errors
from pointsman.config.alerts import default_rules
from pointsman.config.settings import Alerts

BASE = "providers: {openai: env.OPENAI_API_KEY}\n" + OPEN
SLACK = "https://hooks.slack.example/services/T0/B0/xyzzy"
OTHERS = {**ENVIRON, "HOOK": SECRET, "SLACK": SLACK}
HOOK = "hook: {type: webhook, url: 'https://a.example/x', secrets: [env.HOOK]}"
CHANNELS = f"channels: {{{HOOK}, chat: {{type: slack, url: env.SLACK}}}}"


def alerts(text: str) -> Alerts | None:
    return compiled(f"{BASE}alerts: {text}", OTHERS).telemetry.alerts


def test_nothing_is_evaluated_by_default() -> None:
    assert compiled(BASE).telemetry.alerts is None


def test_empty_section_has_the_default_rules() -> None:
    found = alerts("{}")
    assert found is not None
    assert [one.name for one in found.rules] == [one.name for one in default_rules()]
    assert {"budget", "forecast", "provider_state", "error_rate", "ingestion_lag", "key_expiry"} <= {
        one.name for one in found.rules
    }


def test_rule_is_compiled() -> None:
    rule = (
        "{name: a, kind: {budget: [80]}, when: 'owner == \"team:x\"', for_s: 5, labels: {env: prod}, group_by: [owner]}"
    )
    found = alerts(f"{{{CHANNELS}, rules: [{rule}]}}")
    assert found is not None
    (one,) = found.rules
    assert (one.channels, one.for_s, one.group_by, one.labels) == (("hook", "chat"), 5.0, ("owner",), {"env": "prod"})
    assert [check.when for check in one.checks] == [
        '(metric == "usd" && used_percent >= 80.0\n) && (owner == "team:x"\n)'
    ]


def test_disabled_rule_is_left_out() -> None:
    found = alerts("{rules: [{name: a, kind: budget, enabled: false}]}")
    assert found is not None
    assert not found.rules


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("[{name: a}]", "set `kind` to one of"),
        ("[{name: a, each: target}]", "set `kind` to one of"),
        ("[{name: a, kind: budgets}]", "did you mean 'budget'"),
        ("[{name: a, kind: {budget: {percent: [0]}}}]", "invalid settings of the kind 'budget'"),
        ("[{name: a, kind: {budget: 80}}]", "invalid settings of the kind 'budget'"),
        ("[{name: a, kind: budget, each: target}]", "has a subject itself"),
        ("[{name: a, each: targets, when: 'true'}]", "did you mean 'target'"),
        ("[{name: a, each: target, when: 'eror_rate > 1'}]", "did you mean 'error_rate'"),
        ("[{name: a, each: target, when: 'error_rate'}]", "must be true or false"),
        ("[{name: a, kind: budget, channels: [nobody]}]", "unknown channel 'nobody'"),
        ("[{name: a, kind: budget, group_by: [ownr]}]", "unknown label 'ownr'"),
        ("[{name: a, kind: budget}, {name: a, kind: forecast}]", "duplicate rule 'a'"),
    ],
)
def test_faulty_rule_is_an_error_with_its_place(rules: str, problem: str) -> None:
    (found,) = errors(f"{BASE}alerts: {{rules: {rules}}}")
    assert problem in str(found)
    assert str(found).startswith("alerts.rules[")
