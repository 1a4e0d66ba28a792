"""Records of changes of roles: nothing is recorded for a session that is in use, and roles of groups are."""

from pathlib import Path

from fakes.access import create_user, log_in
from fakes.control import ControlPlane, control_plane
from integration.gateway import run
from pointsman.control.inquiries.logins import ConfirmSession, SessionOutcome, TouchSession
from pointsman.control.store.audit_table import every_record
from pointsman.domain.audit import AuditRecord


async def records(plane: ControlPlane) -> list[AuditRecord]:
    return [one async for one in every_record(plane.services.store.rows)]


def test_session_in_use_is_no_change_and_other_groups_are(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            id_ = await create_user(plane, "ann", "viewer")
            await log_in(plane, "ann")
            (session,) = await plane.services.access.sessions(id_)
            known = len(await records(plane))
            ask = plane.services.control.ask
            await ask(TouchSession(session.digest), SessionOutcome)
            inquiry = ConfirmSession(digest=session.digest, grants=(), refresh="")
            await ask(inquiry, SessionOutcome)
            assert len(await records(plane)) == known

    run(main())


def test_new_user_and_its_roles_are_in_the_difference(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "ann", "viewer@team:research")
            found = (await records(plane))[-1]
            assert (found.action, found.kind, found.name) == ("create", "user", "user:ann")
            assert '"field":"roles","before":null,"after":["viewer@team:research"]' in found.changes
            assert '"field":"password","before":null,"after":"***"' in found.changes

    run(main())
