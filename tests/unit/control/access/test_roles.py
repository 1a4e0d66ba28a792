"""Roles and tokens by inquiry: the rights of the author are checked where the change is made."""

from pathlib import Path

import pytest

from fakes.control import control_plane
from integration.gateway import run
from pointsman.control.access import roles
from pointsman.control.inquiries.access import AccessOutcome, Author, CreateServiceToken, SetRole
from pointsman.domain.permissions import ROLES, Permission
from pointsman.domain.rights import OF_AN_OWNER, RoleGrant, rights_of

OWNER = Author("admin-token", OF_AN_OWNER)


def test_number_of_roles_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "MAX_ROLES", 2)

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            codes = []
            for name in ("a", "b", "c", "a"):
                inquiry = SetRole(OWNER, name, frozenset({Permission.USAGE_READ}))
                (outcome,) = await plane.services.control.ask(inquiry, AccessOutcome)
                codes.append(outcome.code)
            assert codes == ["", "", "conflict", ""]

    run(main())


def test_team_admin_makes_tokens_for_its_team_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            author = Author("user:tina", rights_of([RoleGrant("team-admin", "team:research")], ROLES))
            for scope, code in (
                ("team:research", ""), ("virtual_key:me", ""), ("virtual_key:other", "forbidden"), ("*", "forbidden"),
                ("team:other", "forbidden"), ("customer:acme", "forbidden"), ("nonsense", "invalid"),
            ):  # fmt: skip
                inquiry = CreateServiceToken(author, scope, scope, (RoleGrant("member", scope),), 2e9)
                (outcome,) = await plane.services.control.ask(inquiry, AccessOutcome)
                assert outcome.code == code, scope

    run(main())
