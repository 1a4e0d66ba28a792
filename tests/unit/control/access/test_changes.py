"""Changes of access: whole or not at all, and no text of a user is run as SQL."""

from pathlib import Path

import pytest

from fakes.control import control_plane
from integration.gateway import run
from pointsman.control.access.changes import MAX_GRANTS, AccessChange, Refused, change, check_name, refusal
from pointsman.control.inquiries.access import Author
from pointsman.domain.rights import OF_AN_OWNER, RoleGrant

OWNER = Author("admin-token", OF_AN_OWNER)


def test_refused_change_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            parts = plane.inquiry_handler.parts

            async def half(one: AccessChange) -> str:
                await one.set_grants("user:x", [RoleGrant("viewer"), RoleGrant("viewer")])
                assert await one.queries.holders("viewer") == 1
                raise refusal("conflict", "no")

            (outcome,) = await change(parts, OWNER, half)
            assert (outcome.code, outcome.problem) == ("conflict", "no")
            assert await plane.services.access.holders("viewer") == 0

    run(main())


def test_change_without_a_store_is_unavailable(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, is_read=False) as plane:

            async def never(_: AccessChange) -> str:
                raise AssertionError

            (outcome,) = await change(plane.inquiry_handler.parts, OWNER, never)
            assert (outcome.code, outcome.problem) == ("unavailable", "the store is not open yet")

    run(main())


def test_number_of_roles_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:

            async def give(one: AccessChange) -> str:
                await one.may_give([RoleGrant("viewer", f"team:{number}") for number in range(MAX_GRANTS + 1)])
                return ""

            (outcome,) = await change(plane.inquiry_handler.parts, OWNER, give)
            assert outcome.code == "invalid"

    run(main())


@pytest.mark.parametrize("name", ["", " a", "a ", "a\tb", "x" * 201, "a\x00", "\u202eevil"])
def test_names_that_cannot_be_shown_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        check_name(name)
