"""The configured owners of keys and teams."""

from pathlib import Path

from fakes.configuration import accept
from fakes.control import ENVIRON
from pointsman.config.snapshot_file import read_snapshot
from pointsman.control.owners import ConfiguredOwners

CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  customers: {acme: {}}
  teams: {research: {customer: acme}, idle: {customer: acme}, free: {}}
  virtual_keys: {me: {value: env.ME, team: research}}
"""


def test_teams_have_customers_even_without_a_key(tmp_path: Path) -> None:
    accept(tmp_path / "snapshot", CONFIG, ENVIRON)
    owners = ConfiguredOwners(read_snapshot(tmp_path / "snapshot", ENVIRON))
    assert owners.team_of("me") == "research"
    assert owners.customer_of("virtual_key", "me") == "acme"
    assert owners.customer_of("team", "idle") == "acme"
    assert owners.customer_of("team", "free") is None
    assert owners.customer_of("team", "unknown") is None
    assert owners.team_of("unknown") is None
    assert owners.customer_of("virtual_key", "unknown") is None
