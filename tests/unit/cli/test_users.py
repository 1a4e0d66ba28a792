"""`pointsman users`, `roles` and `tokens`: the accounts of people and programs."""

from pathlib import Path

from typer.testing import CliRunner, Result

from fakes.access import QUICK
from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane
from pointsman.admin.passwords import Passwords
from pointsman.cli import build_app


def quick(plane: ControlPlane) -> None:
    plane.services.logins.passwords = Passwords(QUICK)


def invoke(*arguments: str, token: str = TOKEN) -> Result:
    return CliRunner().invoke(build_app(), list(arguments), env={"POINTSMAN_ADMIN_TOKEN": token})


def test_user_is_made_listed_changed_and_deleted(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a long enough password\n")
    with served(tmp_path, quick) as url:
        assert invoke("users", "list", "--url", url).output == "no users found\n"
        made = invoke("users", "create", "vera", "-r", "viewer", "-r", "member@team:research", "--url", url)
        assert made.exit_code == 0, made.output
        assert "password, shown only once: " in made.output
        listed = invoke("users", "list", "--url", url).output
        assert "member@team:research, viewer" in listed
        assert "never" in listed
        changed = invoke("users", "set", "vera", "--role", "analyst", "--disable", "--url", url)
        assert "disabled" in changed.output
        assert "analyst" in changed.output
        password = str(tmp_path / "password")
        assert invoke("users", "set", "vera", "--password-file", password, "--enable", "--url", url).exit_code == 0
        assert invoke("users", "set", "vera", "--url", url).exit_code == 2
        assert '"name": "vera"' in invoke("users", "show", "vera", "--url", url).output
        assert invoke("users", "log-out", "vera", "--url", url).output == "ended the sessions of vera\n"
        assert invoke("users", "delete", "vera", "--url", url).output == "deleted vera\n"
        gone = invoke("users", "show", "vera", "--url", url)
        assert (gone.exit_code, gone.output) == (1, "there is no user 'vera'\n")


def test_missing_right_and_wrong_role_are_errors_with_a_reason(tmp_path: Path) -> None:
    with served(tmp_path, quick) as url:
        wrong = invoke("users", "create", "vera", "-r", "king", "--url", url)
        assert wrong.exit_code == 1
        assert "there is no role 'king'; the roles are admin, analyst" in wrong.output
        missing = invoke("users", "create", "vera", "--password-file", str(tmp_path / "no"), "--url", url)
        assert missing.exit_code == 2
        robot = invoke("tokens", "create", "robot", "-r", "viewer", "--url", url)
        token = robot.output.splitlines()[0]
        denied = invoke("users", "list", "--url", url, token=token)
        assert denied.exit_code == 1
        assert "requires the permission users:read" in denied.output
        assert invoke("usage", "--url", url, token=token).exit_code == 0
