"""Alerts, rules and messages for tests."""

from typing import Any

from pointsman.alerting.api import Alert, AlertMessage, AlertRule, Check
from pointsman.alerting.messages import message_of
from pointsman.alerting.subjects.limit import LimitFacts
from pointsman.alerting.subjects.state import StateFacts

SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY="
FAILED = Check(each="state", when='state == "failed"', text="{provider}/{model} is {state}")


def rule(*checks: Check, **fields: Any) -> AlertRule:
    values: dict[str, Any] = {"name": "r", "severity": "warning", "channels": ("ops",), **fields}
    return AlertRule(checks=checks or (FAILED,), **values)


def state(model: str = "m", found: str = "failed") -> StateFacts:
    return StateFacts(provider="p", model=model, operation="chat", key="", state=found, reason="broken", workers=1)


def limit(percent: float, start: int = 0, **fields: Any) -> LimitFacts:
    values: dict[str, Any] = {
        "owner": "team:research",
        "metric": "usd",
        "period": "day",
        "limit": 100.0,
        "used": percent,
        "used_percent": percent,
        "is_soft": False,
        "elapsed_percent": 50.0,
        "window_left_s": 43_200.0,
        "runs_out_in_s": 1000.0,
        "window_start": start,
        "window_end": start + 86_400,
    }
    return LimitFacts(**(values | fields))


def alert(number: int = 1, **fields: Any) -> Alert:
    values: dict[str, Any] = {
        "id": f"id-{number}",
        "key": f'["r","0","p","m{number}","chat",""]',
        "rule": "r",
        "severity": "warning",
        "text": f"p/m{number} is failed",
        "labels": {"provider": "p", "model": f"m{number}"},
        "facts": {"state": "failed"},
        "fired_at": 1000.0 + number,
    }
    return Alert(**(values | fields))


def message(*numbers: int, channel: str = "ops", at: float = 1000.0) -> AlertMessage:
    return message_of(channel, "fired", [alert(number) for number in numbers or (1,)], at)
