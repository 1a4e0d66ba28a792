"""Sessions: bounded in number, of enabled users, and never with the role of owners from a group."""

from pathlib import Path
from time import time

import pytest

from fakes.access import ADMIN, create_user
from fakes.control import ControlPlane, control_plane
from integration.gateway import run
from pointsman.control.access import sessions
from pointsman.control.inquiries.logins import CloseSession, ConfirmSession, OpenSession, SessionOutcome, SignOn
from pointsman.domain.rights import RoleGrant

ISSUER = "https://idp.example.com"


async def sign_on(
    plane: ControlPlane, digest: str, *roles: str, subject: str = "s", name: str = "Sam"
) -> SessionOutcome:
    inquiry = SignOn(
        provider="company", issuer=ISSUER, subject=subject, name=name, grants=tuple(map(RoleGrant, roles)),
        digest=digest, address="192.0.2.1", ends_at=time() + 60,
    )  # fmt: skip
    (outcome,) = await plane.services.control.ask(inquiry, SessionOutcome)
    return outcome


def test_identity_is_issuer_and_subject(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            one = await sign_on(plane, "a", "viewer")
            again = await sign_on(plane, "b", "analyst", name="Renamed")
            other = await sign_on(plane, "c", "viewer", subject="t", name="Renamed")
            assert one.user_id == again.user_id != other.user_id
            user = await plane.services.access.user(one.user_id)
            assert user is not None
            assert (user.name, user.mapped, user.granted) == ("Renamed", (RoleGrant("analyst"),), ())

    run(main())


def test_group_gives_no_ownership_and_a_user_without_a_role_gets_no_account(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert (await sign_on(plane, "a")).code == "forbidden"
            assert not await plane.data("/api/v1/users")
            outcome = await sign_on(plane, "b", "owner", "viewer")
            user = await plane.services.access.user(outcome.user_id)
            assert user is not None
            assert user.grants == (RoleGrant("viewer"),)
            assert await plane.services.access.owners() == set()
            (confirmed,) = await plane.services.control.ask(
                ConfirmSession(digest="b", grants=(RoleGrant("owner"),), refresh=""), SessionOutcome
            )
            assert not confirmed.code
            user = await plane.services.access.user(outcome.user_id)
            assert user is not None
            assert user.grants == ()
            body = {"disabled": True}
            await plane.client.patch(f"/api/v1/users/{user.id}", json=body, headers=ADMIN)
            assert (await sign_on(plane, "c", "viewer")).code == "forbidden"

    run(main())


def test_number_of_sessions_of_a_user_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            ids = {(await sign_on(plane, name, "viewer")).user_id for name in "abcde"}
            found = await plane.services.access.sessions(ids.pop())
            assert [one.digest for one in found] == ["e", "d", "c"]

    run(main())


def test_session_begins_only_with_the_password_that_was_compared(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            id_ = await create_user(plane, "vera", "viewer")
            inquiry = OpenSession(
                user_id=id_, account="vera", password="another hash", code="", digest="d", address="", ends_at=2e9
            )
            (outcome,) = await plane.services.control.ask(inquiry, SessionOutcome)
            assert outcome.code == "unauthorized"
            (outcome,) = await plane.services.control.ask(CloseSession("d", "test"), SessionOutcome)
            assert (outcome.code, outcome.user_id) == ("", "")
            confirm = ConfirmSession(digest="d", grants=(), refresh="")
            (outcome,) = await plane.services.control.ask(confirm, SessionOutcome)
            assert outcome.code == "unauthorized"

    run(main())
