"""`pointsman tokens`: credentials of programs."""

from pathlib import Path

from fakes.admin_api import served
from unit.cli.test_users import invoke, quick


def test_token_is_printed_once_and_revoked(tmp_path: Path) -> None:
    with served(tmp_path, quick) as url:
        assert invoke("tokens", "list", "--url", url).output == "no service tokens found\n"
        made = invoke("tokens", "create", "robot", "-r", "analyst@team:research", "--days", "30", "--url", url)
        assert made.exit_code == 0, made.output
        token = made.output.splitlines()[0]
        assert token.startswith("pm-service-")
        listed = invoke("tokens", "list", "--url", url).output
        assert "analyst@team:research" in listed
        assert token not in listed
        assert '"author": "admin-token"' in invoke("tokens", "list", "--json", "--url", url).output
        assert invoke("tokens", "delete", "robot", "--url", url).output == "revoked robot\n"
        assert invoke("usage", "--url", url, token=token).exit_code == 1
        assert invoke("tokens", "create", "robot", "--url", url).exit_code == 1
