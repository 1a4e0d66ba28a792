"""`pointsman roles`: built-in ones and others."""

from pathlib import Path

from fakes.admin_api import served
from unit.cli.test_users import invoke, quick


def test_role_is_made_listed_and_deleted(tmp_path: Path) -> None:
    with served(tmp_path, quick) as url:
        made = invoke("roles", "set", "billing", "-p", "usage:read", "-p", "budgets:read", "--url", url)
        assert made.output == "billing has budgets:read, usage:read\n"
        listed = invoke("roles", "list", "--url", url, "--json").output
        assert '"name": "billing"' in listed
        assert "team-admin" in invoke("roles", "list", "--url", url).output
        assert invoke("roles", "delete", "billing", "--url", url).output == "deleted billing\n"
        builtin = invoke("roles", "delete", "owner", "--url", url)
        assert builtin.exit_code == 1
        assert "is a built-in role and cannot be deleted" in builtin.output
