"""The settings of alerts for the admin process."""

from fakes.configuration import ENVIRON, compiled
from pointsman.control.alerts import alert_settings

KEYS = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {}}
  virtual_keys:
    old: {value: env.OPENAI_API_KEY, team: research, expires_at: "2027-01-01T00:00:00Z"}
    new: {value: env.OTHER}
"""
OTHERS = {**ENVIRON, "OTHER": "pm-another-key-0123456789-0123456789"}


def test_settings_have_the_keys_that_expire_and_the_date_of_the_catalog() -> None:
    settings = alert_settings(compiled(KEYS + "alerts: {}\n", OTHERS))
    assert [(one.name, one.team, one.customer, one.expires_at) for one in settings.keys] == [
        ("old", "research", "", 1798761600.0)
    ]
    assert settings.catalog_date > "2026"
    assert len(settings.rules) > 5


def test_digest_changes_with_the_settings() -> None:
    texts = (KEYS, KEYS + "alerts: {}\n", KEYS + "alerts: {keep_days: 7}\n")
    digests = [alert_settings(compiled(text, OTHERS)).digest for text in texts]
    assert len(set(digests)) == 3
    assert digests[1] == alert_settings(compiled(texts[1], OTHERS)).digest
