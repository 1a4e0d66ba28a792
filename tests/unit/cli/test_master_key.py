"""The command is tested with `pointsman apply`; here it is one without a gateway."""

from unit.cli.test_users import invoke


def test_gateway_that_is_away_is_reported() -> None:
    found = invoke("master-key", "rotate", "--url", "http://127.0.0.1:1")
    assert found.exit_code == 1
    assert "is the gateway running?" in found.output
