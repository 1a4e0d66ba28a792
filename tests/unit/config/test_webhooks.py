"""Receivers of webhooks in the configuration."""

from pathlib import Path

import pytest

from pointsman.config.egress_schema import GlobalEgressSettings
from pointsman.config.load import load
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.settings import WebhookTarget
from pointsman.config.webhooks import compile_webhook
from pointsman.config.webhooks_schema import WebhookSettings
from pointsman.domain.origin import Origin, Secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRON = {"HOOK": SECRET, "SHORT": "whsec_Y2FuYXJ5", "BARE": "canary-canary-canary-canary-canary"}


def compiled(url: str, secret: str = "env.HOOK") -> tuple[WebhookTarget | None, list[str]]:
    findings = Findings(load(b"{}").source)
    settings = WebhookSettings(url=url, secrets=[secret])
    egress = GlobalEgressSettings()
    found = compile_webhook(settings, egress, ("hook",), References(ENVIRON, Path()), findings)
    return found, [str(one) for one in findings.in_order()]


def test_receiver_is_compiled_with_the_guard() -> None:
    found, problems = compiled("https://hooks.example/a/b")
    assert problems == []
    assert found is not None
    assert (found.origin, found.path) == (Origin("https", "hooks.example", 443), "/a/b")
    assert found.secrets == (Secret(SECRET),)
    assert found.network.is_public_only


@pytest.mark.parametrize(
    ("url", "secret", "problem"),
    [
        ("https://h?token=1", "env.HOOK", "remove the query"),
        ("https://h", "env.SHORT", "24 to 64 bytes in base64"),
        ("https://h", "env.BARE", "`whsec_`"),
        ("https://h", "env.MISSING", "MISSING is not set"),
    ],
)
def test_faults_are_reported_without_secrets(url: str, secret: str, problem: str) -> None:
    _, problems = compiled(url, secret)
    assert any(problem in one for one in problems), problems
    assert "canary" not in str(problems)
    assert "Y2FuYXJ5" not in str(problems)
